import { rm } from 'node:fs/promises';
import type { Operate } from './operate.ts';

/** Removes a file that does not become a blob. Never fails: why it does not become one is what is to be told, and what stays is removed by the next start. */
export async function removeTemporary(path: string, operate: Operate): Promise<void> {
  try {
    await operate('BLOB_WRITE:DISCARD', () => rm(path, { force: true }));
  } catch {
    // See above.
  }
}
