import { watchEvents } from '../adapters/event-watch.ts';
import { natsAccess } from '../config.ts';
import { EXIT, type ExitCode } from '../domain/failure.ts';
import { eventLine } from '../render/event-line.ts';
import { countParser } from './arguments.ts';
import type { AddCommand, Context } from './context.ts';

interface WatchOptions {
  readonly count?: number;
}

export const addWatch: AddCommand = (program, run) => {
  const command = program
    .command('watch')
    .description('show what happens, as it happens: uploads, invalidations, outcomes, edges that come and go')
    .option('--count <n>', 'end after this many lines (default: on Ctrl-C)', countParser);
  command.action((options: WatchOptions) => run(command, (context) => watch(context, options)));
};

async function watch({ io, terminal, settings }: Context, { count = Number.POSITIVE_INFINITY }: WatchOptions): Promise<ExitCode> {
  let shown = 0;
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const stopListening = io.onInterrupt(end);
  // A reader such as `head` that has seen enough.
  io.stdout.once('error', end);
  try {
    const watching = await watchEvents({
      servers: settings.nats,
      access: natsAccess(settings),
      monotonicMs: io.monotonicMs,
      onTrouble: (text) => terminal.warn(text),
      onEvent(event) {
        if (shown++ >= count) return;
        const atMs = io.nowMs();
        terminal.line(eventLine(event, atMs, terminal));
        terminal.document({ at: new Date(atMs).toISOString(), ...event });
        if (shown === count) end();
      },
    });
    terminal.note(`watching ${settings.nats.join(', ')}; Ctrl-C ends it`);
    await ended;
    await watching.close();
  } finally {
    stopListening();
    io.stdout.off('error', end);
  }
  return EXIT.OK;
}
