import { getFromEdge } from '../adapters/origin-client.ts';
import { receive, receiveFile, targetPath } from '../adapters/target-file.ts';
import { urlOption } from '../config.ts';
import { keyFileName } from '../domain/content-path.ts';
import { CommandError, EXIT, type ExitCode, usageError } from '../domain/failure.ts';
import { bytes } from '../render/quantity.ts';
import { keyParser } from './arguments.ts';
import type { AddCommand, Context } from './context.ts';

interface GetOptions {
  readonly output?: string;
  readonly edge?: string;
}

export const addGet: AddCommand = (program, run) => {
  const command = program
    .command('get')
    .description('download one object, from the origin or from an edge')
    .argument('<key>', '<bucket>/<path>', keyParser)
    .option('-o, --output <file>', 'file or directory to write to (default: stdout)')
    .option('--edge <url>', 'ask this edge, as a visitor would', urlOption);
  command.action((key: string, options: GetOptions) => run(command, (context) => get(context, key, options)));
};

async function get({ io, terminal, origin }: Context, key: string, { output, edge }: GetOptions): Promise<ExitCode> {
  if (terminal.json && output === undefined) throw usageError('with --json say with -o where the bytes shall go; stdout is taken');
  const interrupt = new AbortController();
  const stopListening = io.onInterrupt(() =>
    interrupt.abort(new CommandError(EXIT.FAILED, 'INTERRUPTED', 'interrupted; nothing was kept')),
  );
  const { signal } = interrupt;
  try {
    const response = edge === undefined ? await origin.get(key, signal) : await getFromEdge(edge, key, signal);
    if (output === undefined) {
      await receive(response, io.stdout, { signal, end: false }).catch(ignoreClosedReader);
      return EXIT.OK;
    }
    const path = await targetPath(output, keyFileName(key));
    const sizeBytes = await receiveFile(response, path, signal);
    terminal.line(`got ${key}  ${bytes(sizeBytes)}  ${path}`);
    terminal.document({ key, file: path, sizeBytes, contentType: response.headers['content-type'] ?? null });
    return EXIT.OK;
  } finally {
    stopListening();
  }
}

/** `sluice get … | head` has what it wanted. */
function ignoreClosedReader(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}
