import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BLOCK_DIGESTS_MIN_BYTES,
  BLOCK_MAX_BYTES,
  BLOCK_MIN_BYTES,
  BLOCKS_MAX,
  blockBytesFor,
  blockDigest,
  decodeBlockDigests,
  encodeBlockDigests,
  InvalidMessageError,
  MESSAGE_MAX_BYTES,
} from './mod.ts';

const GIB = 1024 ** 3;

describe('the division of a blob into blocks', () => {
  test.each([
    [0, undefined],
    [BLOCK_DIGESTS_MIN_BYTES - 1, undefined],
    [BLOCK_DIGESTS_MIN_BYTES, 512 * 1024],
    [8 * GIB, 512 * 1024],
    [8 * GIB + 1, 1024 * 1024],
    [64 * GIB, BLOCK_MAX_BYTES],
    [64 * GIB + 1, undefined],
    [5 * 1024 * GIB, undefined],
  ])('%d bytes: blocks of %s', (sizeBytes, blockBytes) => {
    expect(blockBytesFor(sizeBytes)).toBe(blockBytes);
  });

  test('whatever the size, there are no more blocks than may be, and their digests fit a message', () => {
    fc.assert(
      fc.property(fc.integer({ min: BLOCK_DIGESTS_MIN_BYTES, max: 64 * GIB }), (sizeBytes) => {
        const blocks = Math.ceil(sizeBytes / (blockBytesFor(sizeBytes) as number));
        expect(blocks).toBeLessThanOrEqual(BLOCKS_MAX);
        expect(4 + 32 * blocks).toBeLessThan(MESSAGE_MAX_BYTES - 4096);
      }),
    );
  });
});

describe('block digests in a message', () => {
  test('come out as they went in, from any place of a buffer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: BLOCK_MIN_BYTES }), fc.nat(9), (blocks, last, shift) => {
        const digests = Uint8Array.from({ length: 32 * blocks }, (_, at) => (at * 7) % 256);
        const message = encodeBlockDigests({ blockBytes: BLOCK_MIN_BYTES, digests });
        const inside = new Uint8Array(shift + message.byteLength);
        inside.set(message, shift);
        const decoded = decodeBlockDigests(inside.subarray(shift), (blocks - 1) * BLOCK_MIN_BYTES + last);
        expect(decoded).toEqual({ blockBytes: BLOCK_MIN_BYTES, digests });
        expect(blockDigest(decoded, blocks - 1)).toEqual(digests.subarray(-32));
      }),
    );
  });

  test('that do not fit the blob, and arbitrary bytes, are refused', () => {
    const size = 3 * BLOCK_MIN_BYTES;
    const of = (blockBytes: number, bytes: number) => encodeBlockDigests({ blockBytes, digests: new Uint8Array(bytes) });
    for (const message of [
      new Uint8Array(),
      of(0, 96),
      of(BLOCK_MIN_BYTES - 1, 96),
      of(BLOCK_MAX_BYTES + 1, 32),
      of(BLOCK_MIN_BYTES, 95),
      of(BLOCK_MIN_BYTES, 97),
      of(BLOCK_MIN_BYTES, 128),
    ]) {
      expect(() => decodeBlockDigests(message, size)).toThrow(InvalidMessageError);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), (message, sizeBytes) => {
        try {
          const { blockBytes, digests } = decodeBlockDigests(message, sizeBytes);
          expect(digests.byteLength).toBe(32 * Math.ceil(sizeBytes / blockBytes));
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidMessageError);
        }
      }),
    );
  });
});
