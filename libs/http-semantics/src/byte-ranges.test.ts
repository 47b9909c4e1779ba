import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ByteRange, RANGES_MAX, selectRanges } from './byte-ranges.ts';
import { contentRange, layOutRanges } from './multipart-ranges.ts';

describe('ranges of 10,000 bytes: the examples of RFC 9110 §14.1.2 and their limits', () => {
  test.each<[string, ByteRange[]]>([
    ['bytes=0-499', [{ start: 0, end: 499 }]],
    ['bytes=500-999', [{ start: 500, end: 999 }]],
    ['bytes=-500', [{ start: 9500, end: 9999 }]],
    ['bytes=9500-', [{ start: 9500, end: 9999 }]],
    [
      'bytes=0-0,-1',
      [
        { start: 0, end: 0 },
        { start: 9999, end: 9999 },
      ],
    ],
    [
      'bytes= 0-999, 4500-5499, -1000',
      [
        { start: 0, end: 999 },
        { start: 4500, end: 5499 },
        { start: 9000, end: 9999 },
      ],
    ],
    ['bytes=500-600,601-999', [{ start: 500, end: 999 }]],
    ['bytes=500-700,601-999', [{ start: 500, end: 999 }]],
    ['BYTES=0-9', [{ start: 0, end: 9 }]],
    ['bytes=9990-20000', [{ start: 9990, end: 9999 }]],
    ['bytes=0-99999999999999999999999', [{ start: 0, end: 9999 }]],
    ['bytes=-99999999999999999999999', [{ start: 0, end: 9999 }]],
    ['bytes=20000-,0-9', [{ start: 0, end: 9 }]],
    ['bytes=,0-9,,', [{ start: 0, end: 9 }]],
    ['bytes=0-9,100-109', [{ start: 0, end: 109 }]],
    [
      'bytes=5000-5001,0-1',
      [
        { start: 5000, end: 5001 },
        { start: 0, end: 1 },
      ],
    ],
  ])('%s', (field, ranges) => {
    expect(selectRanges(field, 10_000)).toEqual(ranges);
  });

  test.each(['bytes=10000-', 'bytes=10000-20000', 'bytes=-0', 'bytes=20000-20001,-0'])('%s cannot be satisfied', (field) => {
    expect(selectRanges(field, 10_000)).toBe('unsatisfiable');
  });

  test.each([
    'bytes=',
    'bytes=,',
    'bytes=-',
    'bytes=5-3',
    'bytes=0-9,5-3',
    'bytes=a-b',
    'bytes=0x0-9',
    'bytes=1.5-9',
    'bytes=+1-9',
    'bytes=0-9-10',
    'bytes=0 - 9',
    'bytes 0-9',
    'lines=0-9',
    '0-9',
    '',
  ])('%s is ignored', (field) => {
    expect(selectRanges(field, 10_000)).toBeUndefined();
  });

  test('no range of nothing can be satisfied', () => {
    for (const field of ['bytes=0-', 'bytes=0-0', 'bytes=-1', 'bytes=-0']) expect(selectRanges(field, 0)).toBe('unsatisfiable');
  });

  test('more ranges than anybody needs are ignored', () => {
    const ranges = (count: number) => `bytes=${Array.from({ length: count }, (_, index) => `${index * 300}-${index * 300}`).join(',')}`;
    expect(selectRanges(ranges(RANGES_MAX), 10_000)).toHaveLength(RANGES_MAX);
    expect(selectRanges(ranges(RANGES_MAX + 1), 10_000)).toBeUndefined();
  });
});

const spec = fc.oneof(
  fc.tuple(fc.nat(300), fc.nat(300)).map(([first, length]) => `${first}-${first + length}`),
  fc.nat(300).map((first) => `${first}-`),
  fc.nat(300).map((length) => `-${length}`),
);

test('whatever is asked for: every byte of it comes, none twice, none from beyond the end', () => {
  fc.assert(
    fc.property(fc.array(spec, { minLength: 1, maxLength: RANGES_MAX }), fc.nat(2000), (specs, size) => {
      const selected = selectRanges(`bytes=${specs.join(',')}`, size);
      const wanted = new Set<number>();
      for (const text of specs) {
        const [first, last] = text.split('-') as [string, string];
        const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
        const end = first === '' || last === '' ? size - 1 : Number(last);
        for (let byte = start; byte <= Math.min(end, size - 1); byte += 1) wanted.add(byte);
      }
      if (wanted.size === 0) {
        expect(selected).toBe('unsatisfiable');
        return;
      }
      const sent = new Set<number>();
      for (const { start, end } of selected as ByteRange[]) {
        expect(end).toBeLessThan(size);
        for (let byte = start; byte <= end; byte += 1) {
          expect(sent.has(byte)).toBe(false);
          sent.add(byte);
        }
      }
      for (const byte of wanted) expect(sent.has(byte)).toBe(true);
    }),
  );
});

test('a multipart body is laid out as in RFC 9110 §14.6, and is as long as it says', () => {
  const layout = layOutRanges(
    [
      { start: 500, end: 999 },
      { start: 7000, end: 7999 },
    ],
    8000,
    'application/pdf',
    'THIS_STRING_SEPARATES',
  );
  expect(layout.contentType).toBe('multipart/byteranges; boundary=THIS_STRING_SEPARATES');
  const body = layout.parts.map(({ head, range }) => head + 'x'.repeat(range.end - range.start + 1)).join('') + layout.tail;
  expect(body).toBe(
    [
      '--THIS_STRING_SEPARATES',
      'Content-Type: application/pdf',
      'Content-Range: bytes 500-999/8000',
      '',
      'x'.repeat(500),
      '--THIS_STRING_SEPARATES',
      'Content-Type: application/pdf',
      'Content-Range: bytes 7000-7999/8000',
      '',
      'x'.repeat(1000),
      '--THIS_STRING_SEPARATES--',
      '',
    ].join('\r\n'),
  );
  expect(layout.contentLength).toBe(body.length);
  expect(contentRange({ start: 42, end: 1233 }, 1234)).toBe('bytes 42-1233/1234');
});
