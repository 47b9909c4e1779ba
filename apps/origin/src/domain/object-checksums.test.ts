import { describe, expect, test } from 'vitest';
import { checkObjectChecksums, checksumChoice, checksumHeaders, checksumsOf, fullObject } from './object-checksums.ts';

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('what an upload asks for', () => {
  test.each([
    [{}, undefined],
    [{ 'x-amz-checksum-algorithm': 'CRC32' }, { algorithm: 'crc32', type: 'COMPOSITE' }],
    [
      { 'x-amz-checksum-algorithm': 'crc32c', 'x-amz-checksum-type': 'FULL_OBJECT' },
      { algorithm: 'crc32c', type: 'FULL_OBJECT' },
    ],
    [{ 'x-amz-checksum-algorithm': 'CRC64NVME' }, { algorithm: 'crc64nvme', type: 'FULL_OBJECT' }],
    [
      { 'x-amz-checksum-algorithm': 'SHA1', 'x-amz-checksum-type': 'composite' },
      { algorithm: 'sha1', type: 'COMPOSITE' },
    ],
  ])('%j is %j', (headers, choice) => expect(checksumChoice(headers)).toEqual(choice));

  test.each([
    { 'x-amz-checksum-algorithm': 'MD5' },
    { 'x-amz-checksum-algorithm': '' },
    { 'x-amz-checksum-type': 'COMPOSITE' },
    { 'x-amz-checksum-algorithm': 'CRC64NVME', 'x-amz-checksum-type': 'COMPOSITE' },
    { 'x-amz-checksum-algorithm': 'SHA256', 'x-amz-checksum-type': 'FULL_OBJECT' },
    { 'x-amz-checksum-algorithm': 'CRC32', 'x-amz-checksum-type': 'constructor' },
  ])('%j is refused', (headers) => expect(() => checksumChoice(headers)).toThrow(code('InvalidRequest')));
});

test('of all digests only the wanted checksums are kept, in base64', () => {
  const digests = { md5: '00'.repeat(16), crc32: 'cbf43926', sha1: 'ff'.repeat(20) };
  expect(checksumsOf(digests, new Set(['md5', 'crc32', 'crc32c']))).toEqual({ crc32: 'y/Q5Jg==' });
  expect(checksumHeaders(fullObject({ crc32: 'y/Q5Jg==' }))).toEqual([
    ['x-amz-checksum-crc32', 'y/Q5Jg=='],
    ['x-amz-checksum-type', 'FULL_OBJECT'],
  ]);
  expect(fullObject({})).toBeUndefined();
});

test('a composite checksum may be announced with or without the number of parts, and not with another one', () => {
  const checksums = { type: 'COMPOSITE', values: { crc32: 'AAAAAA==-2' } } as const;
  for (const value of ['AAAAAA==-2', 'AAAAAA==']) checkObjectChecksums({ 'x-amz-checksum-crc32': value }, checksums);
  for (const value of ['AAAAAA==-3', 'AAAAAQ==-2', '']) {
    expect(() => checkObjectChecksums({ 'x-amz-checksum-crc32': value }, checksums)).toThrow(code('BadDigest'));
  }
});
