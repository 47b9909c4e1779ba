import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyPatch, isDeltaCandidate, isUsableBase, isWorthwhile, makePatch, PatchError } from './mod.ts';

const MAGIC = Uint8Array.of(0x37, 0xa4, 0x30, 0xec);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 4096 }),
  fc.uint8Array({ maxLength: 64 }).map((tail) => Uint8Array.of(...MAGIC, ...tail)),
);

describe('delta', () => {
  test('any two byte strings: the patch of a usable base applied to it gives the target', async () => {
    await fc.assert(
      fc.asyncProperty(bytes, bytes, async (base, target) => {
        const patch = await makePatch(base, target);
        expect(patch === undefined).toBe(!isUsableBase(base));
        if (patch !== undefined) expect(Buffer.compare(await applyPatch(base, patch, target.byteLength), target)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('a spliced version moves a small share of its bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 30 }), fc.nat(60_000), async (seed, at) => {
        const base = noise(64_000, seed);
        const target = Buffer.concat([base.subarray(0, at), Buffer.from('an edit'), base.subarray(at)]);
        const patch = await makePatch(base, target);
        expect(patch?.byteLength).toBeLessThan(target.byteLength * 0.01);
      }),
      { numRuns: 20 },
    );
  });

  test('arbitrary bytes as a patch are refused or decode to something of the right size, never crash', async () => {
    await fc.assert(
      fc.asyncProperty(bytes, fc.uint8Array({ maxLength: 512 }), fc.nat(10_000), async (base, patch, expectedBytes) => {
        const outcome = await applyPatch(base, patch, expectedBytes).catch((error: unknown) => error);
        if (outcome instanceof Buffer) expect(outcome.byteLength).toBe(expectedBytes);
        else expect(outcome).toBeInstanceOf(PatchError);
      }),
      { numRuns: 300 },
    );
  });

  test('a patch that decodes to more than expected is refused before it is held', async () => {
    const base = Buffer.from('base');
    const bomb = await makePatch(base, Buffer.alloc(64 * 1024 * 1024));
    expect(bomb?.byteLength).toBeLessThan(100_000);
    await expect(applyPatch(base, bomb as Buffer, 1000)).rejects.toThrow(PatchError);
  });

  test('a patch against another base is refused or gives other bytes of the right size', async () => {
    const target = noise(8000, 3);
    const patch = (await makePatch(noise(8000, 1), Buffer.concat([noise(8000, 1), target]))) as Buffer;
    const outcome = await applyPatch(noise(8000, 2), patch, 16_000).catch((error: unknown) => error);
    expect(outcome instanceof PatchError || (outcome instanceof Buffer && outcome.byteLength === 16_000)).toBe(true);
  });

  test('candidates are web-sized: neither tiny, nor empty, nor above the size where zstd finds its matches', () => {
    expect(isDeltaCandidate(100_000, 100_000)).toBe(true);
    expect(isDeltaCandidate(0, 100_000)).toBe(false);
    expect(isDeltaCandidate(100_000, 0)).toBe(false);
    expect(isDeltaCandidate(100_000, 4095)).toBe(false);
    expect(isDeltaCandidate(4 * 1024 * 1024 + 1, 100_000)).toBe(false);
    expect(isDeltaCandidate(100_000, 4 * 1024 * 1024 + 1)).toBe(false);
  });

  test('half is worthwhile, more is not', () => {
    expect(isWorthwhile(50, 100)).toBe(true);
    expect(isWorthwhile(51, 100)).toBe(false);
  });

  test('a 4 MB version with an edit near each end is still patched small', async () => {
    const base = noise(4 * 1024 * 1024 - 64, 5);
    const target = Buffer.concat([Buffer.from('head'), base, Buffer.from('tail')]);
    const patch = await makePatch(base, target);
    expect(patch?.byteLength).toBeLessThan(target.byteLength * 0.05);
  });
});

/** Incompressible bytes that are the same for the same seed (xorshift32). */
function noise(size: number, seed: number): Buffer {
  const out = Buffer.allocUnsafe(size);
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  for (let index = 0; index < size; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[index] = state & 0xff;
  }
  return out;
}
