import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { algorithmsToCompute, checkBody, DIGEST_BYTES, type DigestAlgorithm, expectedBody, trailerDigests } from './upload-digests.ts';

const base64 = (byteCount: number): string => new Uint8Array(byteCount).toBase64();

describe('upload digests', () => {
  test('nothing announced, nothing to compute', () => {
    const expectation = expectedBody({ 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' });
    expect(expectation).toEqual({ contentLength: undefined, digests: [], framing: undefined, trailers: [] });
    expect(algorithmsToCompute(expectation).size).toBe(0);
    checkBody(expectation, 7, {});
  });

  test.each(Object.entries(DIGEST_BYTES))('%s of the wrong length, or not base64, is an invalid digest', (algorithm, byteCount) => {
    const header = algorithm === 'md5' ? 'content-md5' : `x-amz-checksum-${algorithm}`;
    for (const value of [base64(byteCount - 1), base64(byteCount + 1), '', '%%%', `${base64(byteCount)}=`]) {
      const refusal = expect.objectContaining({ code: 'InvalidDigest', message: expect.stringContaining(header) });
      expect(() => expectedBody({ [header]: value })).toThrow(refusal);
    }
    expect(expectedBody({ [header]: base64(byteCount) }).digests).toEqual([{ header, algorithm, hex: '00'.repeat(byteCount) }]);
  });

  test('x-amz-content-sha256 is hexadecimal', () => {
    expect(expectedBody({ 'x-amz-content-sha256': 'AB'.repeat(32) }).digests).toEqual([
      { header: 'x-amz-content-sha256', algorithm: 'sha256', hex: 'ab'.repeat(32) },
    ]);
    expect(() => expectedBody({ 'x-amz-content-sha256': 'ab' })).toThrow(expect.objectContaining({ code: 'InvalidDigest' }));
  });

  test.each([
    ['trailer', 'x-amz-checksum-sha256'],
    ['x-amz-checksum-foo', 'AAAA'],
  ])('%s announces what would go unchecked, and is refused by name', (name, value) => {
    const refusal = expect.objectContaining({ code: 'NotImplemented', message: expect.stringContaining(name) });
    expect(() => expectedBody({ [name]: value })).toThrow(refusal);
  });

  describe('of a trailer', () => {
    const framed = {
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': '3',
      'x-amz-trailer': 'x-amz-checksum-crc32',
    };

    test('the digest that it is to have is computed', () => {
      const expectation = expectedBody({ ...framed, 'content-length': '60' });
      expect([expectation.contentLength, expectation.digests]).toEqual([3, []]);
      expect(algorithmsToCompute(expectation)).toEqual(new Set(['crc32']));
    });

    test('the announced ones must come, once, and no others', () => {
      const expectation = expectedBody(framed);
      const given: [string, string] = ['x-amz-checksum-crc32', base64(4)];
      expect(trailerDigests(expectation, [given])).toEqual([{ header: given[0], algorithm: 'crc32', hex: '00000000' }]);
      const refusal = expect.objectContaining({ code: 'MalformedTrailerError' });
      for (const fields of [[], [given, given], [['x-amz-checksum-sha1', base64(20)] as [string, string]]]) {
        expect(() => trailerDigests(expectation, fields)).toThrow(refusal);
      }
      expect(() => trailerDigests(expectation, [[given[0], 'x']])).toThrow(expect.objectContaining({ code: 'InvalidDigest' }));
    });

    test('what is no checksum is refused before a byte is read', () => {
      const refusal = expect.objectContaining({ code: 'NotImplemented', message: expect.stringContaining('x-amz-meta-a') });
      expect(() => expectedBody({ ...framed, 'x-amz-trailer': 'x-amz-meta-a' })).toThrow(refusal);
    });
  });

  test('more than 5 TiB is refused before a byte is read', () => {
    const framing = { 'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'x-amz-decoded-content-length': String(6 * 1024 ** 4) };
    expect(() => expectedBody(framing)).toThrow(expect.objectContaining({ code: 'EntityTooLarge' }));
    expect(() => expectedBody({ 'content-length': String(5 * 1024 ** 4 + 1) })).toThrow(
      expect.objectContaining({ code: 'EntityTooLarge' }),
    );
  });

  test('a body passes exactly when its length and every announced digest fit', () => {
    const hexOf = (algorithm: DigestAlgorithm, fill: number) => new Uint8Array(DIGEST_BYTES[algorithm]).fill(fill).toHex();
    const algorithms = Object.keys(DIGEST_BYTES) as DigestAlgorithm[];
    fc.assert(
      fc.property(
        fc.subarray(algorithms),
        fc.option(fc.constantFrom(...algorithms), { nil: undefined }),
        fc.boolean(),
        (named, wrong, short) => {
          const digests = named.map((algorithm) => ({ header: algorithm, algorithm, hex: hexOf(algorithm, 1) }));
          const actual = Object.fromEntries(algorithms.map((algorithm) => [algorithm, hexOf(algorithm, algorithm === wrong ? 2 : 1)]));
          const check = () => checkBody({ contentLength: 10, digests }, short ? 9 : 10, actual);
          if (short) expect(check).toThrow(expect.objectContaining({ code: 'IncompleteBody' }));
          else if (wrong !== undefined && named.includes(wrong)) expect(check).toThrow(expect.objectContaining({ code: 'BadDigest' }));
          else check();
        },
      ),
    );
  });
});
