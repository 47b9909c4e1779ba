/** Patches between two versions of a content, as they come over the wire. */

import { constants, zstdCompressSync } from 'node:zlib';
import { applyPatch, makePatch, PatchError } from '@sluice/delta';
import { mutateBytes } from '../mutate.ts';
import { Random } from '../random.ts';
import { checkedWords, law, target } from '../target.ts';

const LEAST_BYTES = 4_096;
const base = Buffer.from(Array.from({ length: 400 }, (_, at) => `line ${at * at} of the old version\n`).join(''));
const next = Buffer.from(base.toString().replaceAll('9 of', 'nine of'));
const PATCHES = [
  (await makePatch(base, next)) as Buffer,
  (await makePatch(base, base)) as Buffer,
  (await makePatch(base, new Random(1, 1).bytes(LEAST_BYTES) as Buffer)) as Buffer,
  zstdCompressSync(next),
  // 64 MiB of nothing in a few kB; a window of 128 MiB; two frames; a frame without content; one that may be skipped.
  zstdCompressSync(Buffer.alloc(64 * 1024 * 1024)),
  zstdCompressSync(next, { params: { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_contentSizeFlag]: 0 } }),
  Buffer.concat([zstdCompressSync(next), zstdCompressSync(next)]),
  zstdCompressSync(Buffer.alloc(0)),
  Buffer.from('502a4d1804000000aabbccdd', 'hex'),
];
const BASES = [base, next, Buffer.from('x'), Buffer.from('37a430ec00000000', 'hex'), Buffer.alloc(0)];

export const patches = target({
  name: 'patches',
  law: 'a patch gives exactly the bytes that were announced or a refusal, and takes not much more memory than those',
  make(random) {
    const patch = random.pick(PATCHES);
    return {
      base: random.oneIn(4) ? random.below(BASES.length) : 0,
      patch: random.oneIn(12)
        ? new Uint8Array(patch)
        : mutateBytes(
            random,
            patch.subarray(0, 8_000),
            PATCHES.map((each) => each.subarray(0, 2_000)),
          ),
      bytes: random.oneIn(3) ? random.pick([0, 1, base.byteLength, 2 ** 20, 4 * 2 ** 20]) : next.byteLength,
    };
  },
  async check({ base: at, patch, bytes }) {
    const result = await applyPatch(BASES[at] as Uint8Array, patch, bytes).catch((error: Error) => error);
    if (result instanceof PatchError) return void checkedWords(result);
    if (result instanceof Error) throw result;
    law(result.byteLength === bytes, () => `${result.byteLength} bytes instead of ${bytes}`);
    law(result.buffer.byteLength <= bytes + 256 * 1024, () => `${result.buffer.byteLength} bytes of memory for ${bytes}`);
  },
});
