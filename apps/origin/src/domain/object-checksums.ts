/** The checksums that are kept with an object: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html */
import { type Fields, fieldOf } from '@sluice/http-semantics';
import { S3Error } from './s3-error.ts';
import { CHECKSUM_ALGORITHMS, type DigestAlgorithm, type ExpectedDigest } from './upload-digests.ts';

export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];

/** In base64. */
export type Checksums = Readonly<Partial<Record<ChecksumAlgorithm, string>>>;

/** `FULL_OBJECT`: over all bytes. `COMPOSITE`: over the checksums of the parts, with `-` and their number behind. */
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';

export interface ObjectChecksums {
  readonly type: ChecksumType;
  readonly values: Checksums;
}

/** What a multipart upload's object is to have. */
export interface ChecksumChoice {
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
}

/** The types that an algorithm can have, the one that is meant without a word first. */
const TYPES: Readonly<Record<ChecksumAlgorithm, readonly ChecksumType[]>> = {
  crc32: ['COMPOSITE', 'FULL_OBJECT'],
  crc32c: ['COMPOSITE', 'FULL_OBJECT'],
  crc64nvme: ['FULL_OBJECT'],
  sha1: ['COMPOSITE'],
  sha256: ['COMPOSITE'],
};

const ALGORITHM_HEADER = 'x-amz-checksum-algorithm';
const TYPE_HEADER = 'x-amz-checksum-type';

/** What CreateMultipartUpload asks for; undefined: no checksum is kept. @throws {S3Error} `InvalidRequest` */
export function checksumChoice(headers: Fields): ChecksumChoice | undefined {
  const wanted = fieldOf(headers, ALGORITHM_HEADER)?.trim().toLowerCase();
  const type = fieldOf(headers, TYPE_HEADER)?.trim().toUpperCase();
  if (wanted === undefined) {
    if (type !== undefined) throw new S3Error('InvalidRequest', `${TYPE_HEADER}: needs ${ALGORITHM_HEADER} beside it`);
    return undefined;
  }
  const algorithm = CHECKSUM_ALGORITHMS.find((known) => known === wanted);
  if (algorithm === undefined) {
    const known = CHECKSUM_ALGORITHMS.map((name) => name.toUpperCase()).join(', ');
    throw new S3Error('InvalidRequest', `${ALGORITHM_HEADER}: must be one of ${known}`);
  }
  const [usual, ...others] = TYPES[algorithm];
  const chosen = type === undefined ? usual : TYPES[algorithm].find((possible) => possible === type);
  if (chosen === undefined) {
    throw new S3Error('InvalidRequest', `${TYPE_HEADER}: ${wanted.toUpperCase()} can only be ${[usual, ...others].join(' or ')}`);
  }
  return { algorithm, type: chosen };
}

/** The header fields that tell a client what was chosen. */
export function choiceHeaders(choice: ChecksumChoice | undefined): [name: string, value: string][] {
  if (choice === undefined) return [];
  return [
    [ALGORITHM_HEADER, choice.algorithm.toUpperCase()],
    [TYPE_HEADER, choice.type],
  ];
}

/** Those of `digests`, in lower-case hexadecimal, that are checksums and are wanted. */
export function checksumsOf(digests: Readonly<Partial<Record<DigestAlgorithm, string>>>, wanted: ReadonlySet<DigestAlgorithm>): Checksums {
  const values: Partial<Record<ChecksumAlgorithm, string>> = {};
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const hex = digests[algorithm];
    if (hex !== undefined && wanted.has(algorithm)) values[algorithm] = Uint8Array.fromHex(hex).toBase64();
  }
  return values;
}

/** The algorithms whose checksums a client has announced, beside digests that only guard the transfer. */
export function announcedChecksums(digests: readonly Omit<ExpectedDigest, 'hex'>[]): DigestAlgorithm[] {
  return digests.filter(({ header }) => header.startsWith('x-amz-checksum-')).map(({ algorithm }) => algorithm);
}

/** Checksums of a body as a whole, undefined when there are none. */
export function fullObject(values: Checksums): ObjectChecksums | undefined {
  return Object.keys(values).length === 0 ? undefined : { type: 'FULL_OBJECT', values };
}

/** The header fields under which they go to a client. */
export function checksumHeaders(checksums: ObjectChecksums | undefined): [name: string, value: string][] {
  if (checksums === undefined) return [];
  const headers = Object.entries(checksums.values).map(([name, value]): [string, string] => [`x-amz-checksum-${name}`, value]);
  return [...headers, [TYPE_HEADER, checksums.type]];
}

/** The name of an algorithm's element in S3's documents. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm.toUpperCase()}`;
}

/** Checksums as elements of S3's documents. */
export function checksumElements(values: Checksums): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [checksumElement(name as ChecksumAlgorithm), value]));
}

/**
 * Compares the checksums of a complete object with those that the client's headers announce.
 * @throws {S3Error} `BadDigest`, or `InvalidRequest` for another type than was chosen
 */
export function checkObjectChecksums(headers: Fields, checksums: ObjectChecksums | undefined): void {
  const type = fieldOf(headers, TYPE_HEADER)?.trim().toUpperCase();
  if (type !== undefined && type !== checksums?.type) {
    throw new S3Error('InvalidRequest', `${TYPE_HEADER}: the upload was created with ${checksums?.type ?? 'no checksum'}`);
  }
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const header = `x-amz-checksum-${algorithm}`;
    const announced = fieldOf(headers, header)?.trim();
    const value = checksums?.values[algorithm];
    if (announced === undefined) continue;
    if (value === undefined) throw new S3Error('InvalidRequest', `${header}: the upload was not created with this algorithm`);
    // For a composite one the number of parts behind it may be left out.
    if (announced !== value && announced !== value.replace(/-\d+$/, '')) {
      throw new S3Error('BadDigest', `${header}: the parts make an object with another ${algorithm} than announced; nothing was stored`);
    }
  }
}
