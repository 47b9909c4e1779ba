import { readFileSync } from 'node:fs';
import { usageError } from '../domain/failure.ts';

/** The first token of a file as the apps read it: one a line, blank lines and those that begin with `#` apart. @throws {CommandError} usage, which quotes nothing of it */
export function readAdminToken(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw usageError(`the file of the admin token cannot be read (${(error as NodeJS.ErrnoException).code}): ${path}`);
  }
  const token = text
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '' && !line.startsWith('#'));
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) throw usageError(`there is no admin token on the first line of ${path}`);
  return token;
}
