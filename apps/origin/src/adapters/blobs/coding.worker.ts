/**
 * The thread behind `coding-threads.ts`. Codes in its own turn, not with zlib's streams: those work on the pool of threads that the process has for its files too,
 * at the same priority as everything else.
 */
import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { brotliCompressSync, gzipSync, constants as zlib, zstdCompressSync } from 'node:zlib';
import type { Coded, CodingJob } from './coding-threads.ts';

// On Linux 0 is the calling thread, elsewhere the whole process.
if (process.platform === 'linux') setPriority(0, constants.priority.PRIORITY_LOW);

parentPort?.on('message', ({ bytes, efforts, maxBytes }: CodingJob) => {
  const coded: Coded[] = efforts.map(({ coding, level }) => ({ coding, bytes: ENCODERS[coding](bytes, level) }));
  parentPort?.postMessage(coded.filter(({ bytes: made }) => made.byteLength <= maxBytes));
});

const ENCODERS: Record<Coded['coding'], (bytes: Uint8Array, level: number) => Uint8Array> = {
  br: (bytes, level) =>
    brotliCompressSync(bytes, { params: { [zlib.BROTLI_PARAM_QUALITY]: level, [zlib.BROTLI_PARAM_SIZE_HINT]: bytes.byteLength } }),
  // The size makes the window no larger than the content: it is memory that every receiver has to have.
  zstd: (bytes, level) => zstdCompressSync(bytes, { params: { [zlib.ZSTD_c_compressionLevel]: level }, pledgedSrcSize: bytes.byteLength }),
  gzip: (bytes, level) => gzipSync(bytes, { level }),
};
