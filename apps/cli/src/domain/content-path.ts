/** Content keys as they are written on the command line and in URLs. */
import { isBucketName, keyProblem } from '@sluice/contracts';
import { usageError } from './failure.ts';

/** @throws {CommandError} usage, saying what is wrong with the key */
export function requireKey(text: string): string {
  const problem = keyProblem(text);
  if (problem !== undefined) throw usageError(`"${text}" cannot be a key: it ${problem}`);
  return text;
}

/**
 * The key of one file put to `destination`, which is a key, or ends in "/" and takes the file's own name.
 * @throws {CommandError} usage
 */
export function fileKey(destination: string, fileName: string): string {
  if (destination.endsWith('/')) return requireKey(destination + fileName);
  if (isBucketName(destination)) {
    throw usageError(
      `"${destination}" is a bucket; write "${destination}/" to keep the file's name, or "${destination}/<path>" to give it one`,
    );
  }
  return requireKey(destination);
}

/**
 * What the keys of a directory's files begin with: `destination` with exactly one slash at its end.
 * @throws {CommandError} usage
 */
export function directoryPrefix(destination: string): string {
  const prefix = destination.endsWith('/') ? destination : `${destination}/`;
  requireKey(`${prefix}x`);
  return prefix;
}

/** The path of a key's URL. `+`, `%`, spaces and everything beyond ASCII are percent-encoded, so the key comes back exactly. */
export function keyUrlPath(key: string): string {
  return `/${key.split('/').map(encodeURIComponent).join('/')}`;
}

/** The last segment of a key. */
export function keyFileName(key: string): string {
  return key.slice(key.lastIndexOf('/') + 1);
}
