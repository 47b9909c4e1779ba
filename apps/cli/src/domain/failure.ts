/** How a command ends: its exit code, and its failure in the user's words. */
import { SluiceError } from '@sluice/contracts';

/** The exit codes of `sluice`, as its `--help` documents them. */
export const EXIT = {
  OK: 0,
  FAILED: 1,
  USAGE: 2,
  NOT_FOUND: 3,
  NOT_DISTRIBUTED: 4,
  UNREACHABLE: 5,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A failure that ends a command. `message` says what happened and what to do; it is all that the user sees. */
export class CommandError extends SluiceError {
  readonly exitCode: ExitCode;
  constructor(exitCode: ExitCode, code: string, message: string, cause?: unknown) {
    super(code, message, { retryable: exitCode === EXIT.UNREACHABLE, cause });
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}

/** The arguments make no sense. */
export function usageError(message: string): CommandError {
  return new CommandError(EXIT.USAGE, 'USAGE', message);
}

/** What any thrown value comes to for the user. A failure nobody foresaw keeps its message and loses its stack. */
export function asCommandError(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  if (error instanceof SluiceError) return new CommandError(EXIT.FAILED, error.code, error.message, error);
  return new CommandError(EXIT.FAILED, 'FAILED', error instanceof Error ? error.message : String(error), error);
}

/** The most serious of several endings: out of reach, then failed, then not everywhere, then fine. */
export function worstOf(codes: readonly ExitCode[]): ExitCode {
  const order = [EXIT.UNREACHABLE, EXIT.FAILED, EXIT.USAGE, EXIT.NOT_FOUND, EXIT.NOT_DISTRIBUTED] as const;
  return order.find((code) => codes.includes(code)) ?? EXIT.OK;
}
