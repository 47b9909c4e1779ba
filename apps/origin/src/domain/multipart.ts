/** What a multipart upload may be made of: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
import { type Checksums, checksumElement } from './object-checksums.ts';
import { S3Error } from './s3-error.ts';
import { CHECKSUM_ALGORITHMS, OBJECT_MAX_BYTES } from './upload-digests.ts';

export const PARTS_MAX = 10_000;
export const PART_MAX_BYTES = 5 * 1024 ** 3;
/** Of all parts but the last. */
export const PART_MIN_BYTES = 5 * 1024 ** 2;

/** A part that is in the blob store. */
export interface StoredPart {
  readonly number: number;
  readonly sha256: string;
  readonly size: number;
  /** In hexadecimal; what a client knows the part by. */
  readonly md5: string;
  readonly checksums: Checksums;
  readonly modifiedMs: number;
}

/** A part as the client lists it to complete an upload. */
export interface ListedPart {
  readonly number: number;
  /** Without quotes. */
  readonly etag: string;
  readonly checksums: Checksums;
}

/** The value of `partNumber`. @throws {S3Error} `InvalidArgument` */
export function partNumberOf(value: string | null): number {
  if (value !== null && /^[0-9]{1,5}$/.test(value)) {
    const number = Number(value);
    if (number >= 1 && number <= PARTS_MAX) return number;
  }
  throw new S3Error('InvalidArgument', `partNumber: must be a whole number from 1 to ${PARTS_MAX}`);
}

/**
 * The stored parts that a client's list names, in its order.
 * @throws {S3Error} `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`, `EntityTooLarge`
 */
export function partsInOrder(
  listed: readonly ListedPart[],
  stored: ReadonlyMap<number, StoredPart>,
  minBytes: number = PART_MIN_BYTES,
): StoredPart[] {
  if (listed.some(({ number }, index) => index > 0 && number <= (listed[index - 1] as ListedPart).number)) {
    throw new S3Error('InvalidPartOrder', 'the parts must be listed in ascending order of their numbers, each once');
  }
  const parts = listed.map((part) => matching(part, stored.get(part.number)));
  for (const { number, size } of parts.slice(0, -1)) {
    if (size < minBytes) {
      throw new S3Error('EntityTooSmall', `part ${number} has ${size} bytes; all parts but the last need at least ${minBytes}`);
    }
  }
  const total = parts.reduce((sum, { size }) => sum + size, 0);
  if (total > OBJECT_MAX_BYTES) throw new S3Error('EntityTooLarge', `an object can have at most ${OBJECT_MAX_BYTES} bytes`);
  return parts;
}

function matching({ number, etag, checksums }: ListedPart, stored: StoredPart | undefined): StoredPart {
  if (stored === undefined) throw new S3Error('InvalidPart', `part ${number} was not uploaded`);
  if (stored.md5 !== etag.toLowerCase()) {
    throw new S3Error(
      'InvalidPart',
      `part ${number}: its ETag is "${stored.md5}"; it was uploaded again, or the list is of another upload`,
    );
  }
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const listed = checksums[algorithm];
    if (listed !== undefined && listed !== stored.checksums[algorithm]) {
      throw new S3Error('InvalidPart', `part ${number}: its ${checksumElement(algorithm)} is another one`);
    }
  }
  return stored;
}

/** Where the `number`th of parts lies in their object; undefined when there are fewer. A part of no bytes ends before it starts. */
export function partRange(sizes: readonly number[], number: number): { start: number; end: number } | undefined {
  const size = sizes[number - 1];
  if (size === undefined) return undefined;
  const start = sizes.slice(0, number - 1).reduce((sum, bytes) => sum + bytes, 0);
  return { start, end: start + size - 1 };
}
