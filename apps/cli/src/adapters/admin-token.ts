import { readFileSync } from 'node:fs';
import { adminTokensIn } from '@sluice/credentials';
import { usageError } from '../domain/failure.ts';

/** The first token of a file. @throws {CommandError} usage, which quotes nothing of it */
export function readAdminToken(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw usageError(`the file of the admin token cannot be read (${(error as NodeJS.ErrnoException).code}): ${path}`);
  }
  const [token] = adminTokensIn(text);
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) throw usageError(`there is no admin token on the first line of ${path}`);
  return token;
}
