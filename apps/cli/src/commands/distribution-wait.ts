/** `--wait`: until every live edge has confirmed. */
import type { Announcement } from '../adapters/origin-client.ts';
import { mapBounded } from '../domain/bounded-map.ts';
import { type DistributionState, distributionExit, distributionWarnings, missedEdges } from '../domain/distribution-state.ts';
import { CommandError, EXIT, type ExitCode } from '../domain/failure.ts';
import { waitForDistribution } from '../domain/waiting.ts';
import { distributionSummary, distributionTable } from '../render/distribution.ts';
import { distributionProgress } from '../render/progress.ts';
import { count, duration } from '../render/quantity.ts';
import type { WaitOptions } from './arguments.ts';
import type { Context } from './context.ts';

/** Events asked for at the same time. */
const ASKED_AT_ONCE = 16;
/** Events waited for together: far fewer than the outcomes that a controller remembers. */
const BATCH_EVENTS = 1_000;

/** What waiting came to. */
export interface Waited {
  /** The last known state of each event, in the order of the ids; undefined for one that the controller never heard of in time. */
  readonly states: readonly (DistributionState | undefined)[];
  /** Why nothing is known at all: what was changed is changed nevertheless, so this must not hide it. */
  readonly failure?: CommandError;
}

export async function waitForEvents({ io, terminal, controller }: Context, ids: readonly string[], timeoutMs: number): Promise<Waited> {
  const progress = distributionProgress(terminal, ids.length > 1);
  const deadlineMs = io.monotonicMs() + timeoutMs;
  const wait = (id: string): Promise<DistributionState | undefined> =>
    waitForDistribution(id, {
      ask: (eventId) => controller.distribution(eventId),
      onState: (state) => progress.update(state),
      sleep: io.sleep,
      monotonicMs: io.monotonicMs,
      deadlineMs,
    });
  try {
    return { states: await mapBounded(ids, ASKED_AT_ONCE, wait) };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { states: ids.map(() => undefined), failure: error };
  } finally {
    progress.stop();
  }
}

/** How a failure stands in a document. */
export function errorField({ failure }: Waited): object {
  return failure === undefined ? {} : { error: { code: failure.code, message: failure.message } };
}

/** Says how one event ended: the table where an edge was missed, one line where none was. */
function reportDistribution({ terminal }: Context, id: string, state: DistributionState | undefined, timeoutMs: number): ExitCode {
  if (state === undefined) {
    terminal.warn(`the controller has not heard of event ${id} after ${duration(timeoutMs)}; "sluice status ${id}" asks again`);
    return EXIT.NOT_DISTRIBUTED;
  }
  if (state.status === 'distributing') {
    terminal.warn(`not everywhere after ${duration(timeoutMs)}; "sluice status ${id}" tells how it goes on`);
  }
  if (state.pending.length > 0 || missedEdges(state).length > 0) for (const line of distributionTable(state, terminal)) terminal.line(line);
  terminal.line(distributionSummary(state));
  for (const warning of distributionWarnings(state)) terminal.warn(warning);
  return distributionExit(state);
}

/** Says how many events ended, as one sum. */
export function reportSum(
  { terminal }: Context,
  states: readonly (DistributionState | undefined)[],
  timeoutMs: number,
  noun: 'file' | 'key',
): ExitCode {
  const everywhere = states.filter((state) => distributionExit(state) === EXIT.OK).length;
  const unfinished = states.filter((state) => state?.status !== 'distributed').length;
  if (unfinished > 0)
    terminal.warn(`${count(unfinished, noun)} not everywhere after ${duration(timeoutMs)}; the edges catch up by themselves`);
  for (const warning of new Set(states.flatMap((state) => (state === undefined ? [] : distributionWarnings(state)))))
    terminal.warn(warning);
  terminal.line(`${everywhere} of ${count(states.length, noun)} on every live edge`);
  return everywhere === states.length ? EXIT.OK : EXIT.NOT_DISTRIBUTED;
}

/** Ends a command that changed one thing: says what was done, waits when asked to, and gives the exit code. */
export async function finishChange(
  context: Context,
  change: { readonly line: string; readonly fields: Readonly<Record<string, unknown>>; readonly announcement: Announcement },
  { wait, timeout }: WaitOptions,
): Promise<ExitCode> {
  const { terminal } = context;
  const { id, version } = change.announcement;
  terminal.line(`${change.line}  version ${version}  event ${id}`);
  const document = { ...change.fields, id, version };
  if (!wait) {
    terminal.document(document);
    return EXIT.OK;
  }
  const waited = await waitForEvents(context, [id], timeout);
  const [state] = waited.states;
  terminal.document({ ...document, distribution: state ?? null, ...errorField(waited) });
  if (waited.failure === undefined) return reportDistribution(context, id, state, timeout);
  terminal.error(waited.failure.message);
  return waited.failure.exitCode;
}

/** Ends a command that changed many keys: waits when asked to, says how many of them are everywhere, and gives the exit code. */
export async function finishChanges(
  context: Context,
  change: { readonly fields: Readonly<Record<string, unknown>>; readonly announcements: readonly Announcement[] },
  { wait, timeout }: WaitOptions,
): Promise<ExitCode> {
  const { terminal } = context;
  const ids = change.announcements.map(({ id }) => id);
  if (!wait || ids.length === 0) {
    terminal.document(change.fields);
    return EXIT.OK;
  }
  const states: (DistributionState | undefined)[] = [];
  for (let start = 0; start < ids.length; start += BATCH_EVENTS) {
    const waited = await waitForEvents(context, ids.slice(start, start + BATCH_EVENTS), timeout);
    if (waited.failure !== undefined) {
      terminal.document({ ...change.fields, ...errorField(waited) });
      terminal.error(waited.failure.message);
      return waited.failure.exitCode;
    }
    states.push(...waited.states);
  }
  const everywhere = states.filter((state) => distributionExit(state) === EXIT.OK).length;
  terminal.document({ ...change.fields, everywhere });
  return reportSum(context, states, timeout, 'key');
}
