/** `sluice …`: wires the command line to this process. */
import { processIo } from './adapters/io.ts';
import { runProgram } from './program.ts';

// A reader that has seen enough (`sluice watch | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await runProgram(process.argv.slice(2), processIo);
