import type { Clock, Logger } from '@sluice/runtime';
import type { ServingSetup } from '../services/serving-messages.ts';
import { AccessLog } from './access-log.ts';
import { LineWriter } from './line-writer.ts';
import type { Peers } from './peers.ts';
import type { ServingCounters } from './serving-counters.ts';

/** Opens the access log of one thread, if one is kept. Threads append to one file: a line is no longer than what the system writes in one piece. */
export async function openAccessLog(
  { accessLog, edgeId }: ServingSetup,
  { peers, counters, clock, log }: { peers: Peers; counters: ServingCounters; clock: Clock; log: Logger },
): Promise<{ readonly log: AccessLog; readonly writer: LineWriter } | undefined> {
  if (accessLog === undefined) return undefined;
  const { format, path } = accessLog;
  const writer = await LineWriter.open({
    ...{ path, clock },
    onDropped: (lines) => counters.add('droppedLogLines', lines),
    onState: (err) => {
      if (err === undefined) log.info({ path }, 'the access log is written again');
      else log.error({ path, err }, 'the access log cannot be written');
    },
    onReopenFailed: (err) => log.error({ path, err }, 'the access log could not be opened again, the old file is still written'),
  });
  return { writer, log: new AccessLog({ format, edgeId, peers, clock, write: (line) => writer.write(line) }) };
}
