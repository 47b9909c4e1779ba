import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { completeRequest } from './complete-request.ts';
import { type ListedPart, PARTS_MAX, partNumberOf, partRange, partsInOrder, type StoredPart } from './multipart.ts';

const GIB = 1024 ** 3;
const stored = (number: number, size: number): StoredPart => ({
  ...{
    number,
    size,
    sha256: `${number}`.repeat(64).slice(0, 64),
    md5: `${number}`.padStart(32, '0'),
    checksums: { crc32: 'AAAA' },
    modifiedMs: 0,
  },
});
const list = ({ number, md5 }: StoredPart): ListedPart => ({ number, etag: md5, checksums: {} });
const code = (expected: string) => expect.objectContaining({ code: expected });

describe('the parts of an object', () => {
  test('are the listed ones in their order, whatever else is stored', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: PARTS_MAX }), { minLength: 1, maxLength: 50 }), fc.nat(), (numbers, seed) => {
        const all = new Map(numbers.map((number) => [number, stored(number, 10)]));
        const wanted = numbers.filter((_, index) => index === 0 || (seed >> (index % 31)) % 2 === 1).sort((a, b) => a - b);
        const parts = partsInOrder(
          wanted.map((number) => list(stored(number, 10))),
          all,
          10,
        );
        expect(parts.map(({ number }) => number)).toEqual(wanted);
      }),
    );
  });

  test('may be 5 TiB together, and not a byte more', () => {
    const parts = Array.from({ length: 1_024 }, (_, index) => stored(index + 1, 5 * GIB));
    const all = new Map(parts.map((part) => [part.number, part]));
    expect(partsInOrder(parts.map(list), all)).toHaveLength(1_024);
    const more = stored(1_025, 1);
    expect(() => partsInOrder([...parts, more].map(list), new Map([...all, [more.number, more]]))).toThrow(code('EntityTooLarge'));
  });

  test('are known by their ETag, in either case, and by the checksums that are listed', () => {
    const part = { ...stored(1, 1), md5: 'ab'.repeat(16) };
    const all = new Map([[1, part]]);
    expect(partsInOrder([{ ...list(part), etag: 'AB'.repeat(16) }], all)).toEqual([part]);
    expect(partsInOrder([{ ...list(part), checksums: { crc32: 'AAAA' } }], all)).toEqual([part]);
    expect(() => partsInOrder([{ ...list(part), checksums: { crc32: 'BBBB' } }], all)).toThrow(code('InvalidPart'));
    expect(() => partsInOrder([{ ...list(part), checksums: { sha1: 'AAAA' } }], all)).toThrow(code('InvalidPart'));
  });
});

test('parts lie behind each other without gaps', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100), { minLength: 1, maxLength: 20 }), (sizes) => {
      let start = 0;
      for (const [index, size] of sizes.entries()) {
        expect(partRange(sizes, index + 1)).toEqual({ start, end: start + size - 1 });
        start += size;
      }
      expect(partRange(sizes, sizes.length + 1)).toBeUndefined();
    }),
  );
});

test.each([null, '', '0', '10001', '1.5', '1e3', ' 1', '١'])('%j is no part number', (value) => {
  expect(() => partNumberOf(value)).toThrow(code('InvalidArgument'));
});

describe('the list of a client', () => {
  test('may be one part or many, with ETags with or without quotes', () => {
    expect(completeRequest.parse({ Part: [{ PartNumber: ' 7 ', ETag: '"abc"' }] })).toEqual([{ number: 7, etag: 'abc', checksums: {} }]);
    const two = [
      { PartNumber: '1', ETag: 'abc', ChecksumCRC64NVME: 'x', ChecksumSHA256: '' },
      { PartNumber: '2', ETag: 'def', Other: '' },
    ];
    expect(completeRequest.parse({ Part: two })).toEqual([
      { number: 1, etag: 'abc', checksums: { crc64nvme: 'x' } },
      { number: 2, etag: 'def', checksums: {} },
    ]);
  });

  test('has at most 10,000 parts', () => {
    const parts = Array.from({ length: PARTS_MAX }, (_, index) => ({ PartNumber: String(index + 1), ETag: 'x' }));
    expect(completeRequest.parse({ Part: parts })).toHaveLength(PARTS_MAX);
    expect(completeRequest.safeParse({ Part: [...parts, { PartNumber: '1', ETag: 'x' }] }).success).toBe(false);
  });

  test.each([
    undefined,
    {},
    { Part: '' },
    { Part: [] },
    { Part: [{ PartNumber: '1' }] },
    { Part: [{ ETag: 'x' }] },
    { Part: [{ PartNumber: 'x', ETag: 'x' }] },
    { Part: [{ PartNumber: '1', ETag: ['x', 'y'] }] },
  ])('is not %j', (content) => expect(completeRequest.safeParse(content).success).toBe(false));
});
