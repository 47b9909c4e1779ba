/** Puts the machine into the same state before each measurement, so that nobody pays for what another one did. */
import { execFileSync } from 'node:child_process';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** What one side has written and the system still holds back would be charged to the other. */
export function settleDisk(): void {
  execFileSync('sync');
}

/**
 * A virtual machine gets its memory from the host when it first touches it. Measured: 1 GB into pages that were never used takes 2.2 s, into
 * used ones 0.24 s, so what is measured first would pay for both. Leaves so many bytes of used pages free; `dir` is where it writes them.
 */
export async function settleMemory(dir: string, bytes: number): Promise<void> {
  const path = join(dir, 'memory');
  const file = await open(path, 'w');
  const piece = Buffer.alloc(1024 * 1024);
  for (let written = 0; written < bytes; written += piece.byteLength) await file.write(piece);
  await file.close();
  await rm(path);
}
