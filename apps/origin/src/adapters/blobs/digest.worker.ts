/** The thread behind `block-digest-maker.ts`. Reads and hashes in its own turn, so that the pool of threads which the process has for its files stays free. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { DigestJob, FileDigests } from './block-digest-maker.ts';

// On Linux 0 is the calling thread, elsewhere the whole process.
if (process.platform === 'linux') setPriority(0, constants.priority.PRIORITY_LOW);

parentPort?.on('message', (job: DigestJob) => parentPort?.postMessage(digestFile(job)));

/** Both in one pass: the digests vouch for the bytes that the whole was made of. */
function digestFile({ path, sizeBytes, blockBytes }: DigestJob): FileDigests {
  const file = openSync(path, 'r');
  try {
    const whole = createHash('sha256');
    const buffer = Buffer.allocUnsafeSlow(blockBytes);
    const digests: Buffer[] = [];
    for (let offset = 0; offset < sizeBytes; offset += blockBytes) {
      const block = buffer.subarray(0, Math.min(blockBytes, sizeBytes - offset));
      fill(file, block, offset);
      whole.update(block);
      digests.push(createHash('sha256').update(block).digest());
    }
    return { sha256: whole.digest('hex'), digests: Buffer.concat(digests) };
  } finally {
    closeSync(file);
  }
}

function fill(file: number, buffer: Buffer, offset: number): void {
  for (let filled = 0; filled < buffer.byteLength; ) {
    const read = readSync(file, buffer, filled, buffer.byteLength - filled, offset + filled);
    if (read === 0) throw new Error(`the file ends at ${offset + filled} bytes`);
    filled += read;
  }
}
