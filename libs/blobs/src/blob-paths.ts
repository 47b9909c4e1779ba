/** Where a store keeps its database, and the file of a large blob, below its directory. */
import { join } from 'node:path';

export function databasePathIn(dir: string): string {
  return join(dir, 'blobs.db');
}

/** Files are spread over one directory for each first byte of their name. */
export function filePathIn(dir: string, sha256: string): string {
  return join(dir, 'files', sha256.slice(0, 2), sha256);
}
