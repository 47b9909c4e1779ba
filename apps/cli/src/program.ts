/** The `sluice` command: its options, its subcommands, and how each way of ending becomes an exit code. */
import { Command, CommanderError } from 'commander';
import type { Io } from './adapters/io.ts';
import type { AddCommand, Run } from './commands/context.ts';
import { createContext } from './commands/context.ts';
import { addCredentials } from './commands/credentials.ts';
import { addEdges } from './commands/edges.ts';
import { addGet } from './commands/get.ts';
import { addInvalidate } from './commands/invalidate.ts';
import { addPut } from './commands/put.ts';
import { addRm } from './commands/rm.ts';
import { addRollback } from './commands/rollback.ts';
import { addSign } from './commands/sign.ts';
import { addStatus } from './commands/status.ts';
import { addUp } from './commands/up.ts';
import { addWatch } from './commands/watch.ts';
import { globalOptions } from './config.ts';
import { asCommandError, EXIT, type ExitCode } from './domain/failure.ts';
import { Terminal } from './render/terminal.ts';

const COMMANDS: readonly AddCommand[] = [
  addUp,
  addPut,
  addGet,
  addRm,
  addRollback,
  addInvalidate,
  addEdges,
  addStatus,
  addWatch,
  addSign,
  addCredentials,
];

const EXIT_CODES = `
Exit codes:
  0  done
  1  failed
  2  the command line makes no sense
  3  not found
  4  not distributed everywhere, or the wait timed out
  5  a service cannot be reached`;

/** Runs one command line (without the program's name). Never throws. */
export async function runProgram(args: readonly string[], io: Io): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.OK;
  const run: Run = async (command, work) => {
    exitCode = await work(createContext(command, io));
  };
  try {
    await createProgram(io, run).parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(error, new Terminal(io, args.includes('--json')));
  }
}

function createProgram(io: Io, run: Run): Command {
  const program = new Command('sluice')
    .description('Sluice: upload once, and every edge of the right regions serves it.')
    .usage('<command> [options]')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHasColors: () => io.stdout.isTTY === true && process.env.NO_COLOR === undefined,
      getErrHasColors: () => io.stderr.isTTY === true && process.env.NO_COLOR === undefined,
    })
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('("--help" shows how)')
    .addHelpText('after', EXIT_CODES);
  for (const option of globalOptions()) program.addOption(option);
  for (const add of COMMANDS) add(program, run);
  return program;
}

function report(error: unknown, terminal: Terminal): ExitCode {
  if (error instanceof CommanderError) {
    // Commander has written its words already; `--help` ends this way too.
    if (error.exitCode === 0) return EXIT.OK;
    terminal.document({ error: { code: 'USAGE', message: error.message } });
    return EXIT.USAGE;
  }
  const { code, message, exitCode } = asCommandError(error);
  terminal.document({ error: { code, message } });
  terminal.error(message);
  return exitCode;
}
