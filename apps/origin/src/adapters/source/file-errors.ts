import { SluiceError } from '@sluice/contracts';
import { RevisionGoneError, type SourceAwayError } from '../../services/source-port.ts';

/** There is nothing under that name (any more), or nothing that can be. */
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'ESTALE']);

export function isAbsent(error: unknown): boolean {
  return ABSENT.has(codeOf(error) ?? '');
}

export function codeOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** For people: what the system said of `path`, and what to do. */
export function reasonOf(error: unknown, path: string): string {
  const code = codeOf(error);
  const shown = JSON.stringify(path);
  if (code === 'EACCES' || code === 'EPERM')
    return `${shown} may not be read by this user (${code}): give it the right, or let a rule ignore it`;
  return `${shown}: ${code ?? (error as Error).message}`;
}

/** What a failure to read a file that was there means to who reads it. */
export function fromReadError(error: unknown, key: string, away: (error: unknown) => SourceAwayError): unknown {
  if (error instanceof SluiceError || codeOf(error) === undefined) return error;
  return isAbsent(error) ? new RevisionGoneError({ key }, error) : away(error);
}
