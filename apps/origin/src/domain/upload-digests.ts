/** The digests and the length that a client announces for a body, and whether the body has them. */

import { type Fields, fieldOf, listMembers } from '@sluice/http-semantics';
import { type Framing, framingOf } from './body-framing.ts';
import { S3Error } from './s3-error.ts';

export const DIGEST_BYTES = { md5: 16, crc32: 4, crc32c: 4, crc64nvme: 8, sha1: 20, sha256: 32 } as const;
export type DigestAlgorithm = keyof typeof DIGEST_BYTES;

/** One announced digest. */
export interface ExpectedDigest {
  readonly header: string;
  readonly algorithm: DigestAlgorithm;
  /** Lower-case hexadecimal. */
  readonly hex: string;
}

export interface BodyExpectation {
  /** Bytes of the content; undefined for a body in chunked coding. */
  readonly contentLength: number | undefined;
  readonly digests: readonly ExpectedDigest[];
  /** What the body is framed with; undefined: it comes as it is. */
  readonly framing: Framing | undefined;
  /** Digests that come behind the body. */
  readonly trailers: readonly Omit<ExpectedDigest, 'hex'>[];
}

/** Largest object: Amazon S3's limit, 5 TiB. */
export const OBJECT_MAX_BYTES = 5 * 1024 ** 4;

/** Those of `x-amz-checksum-*`. */
export const CHECKSUM_ALGORITHMS = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const;
const CHECKSUM_PREFIX = 'x-amz-checksum-';
const PAYLOAD_HASH_HEADER = 'x-amz-content-sha256';

/**
 * What the headers of an upload promise about its body.
 * @throws {S3Error} `InvalidDigest`, `EntityTooLarge`; `NotImplemented` for announcements that would go unchecked; those of {@link framingOf}
 */
export function expectedBody(headers: Fields): BodyExpectation {
  const payload = fieldOf(headers, PAYLOAD_HASH_HEADER);
  const framing = framingOf(headers);
  refuseUnchecked(headers);
  const digests: ExpectedDigest[] = [];
  const md5 = fieldOf(headers, 'content-md5');
  if (md5 !== undefined) digests.push(fromBase64('content-md5', 'md5', md5));
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const header = CHECKSUM_PREFIX + algorithm;
    const value = fieldOf(headers, header);
    if (value !== undefined) digests.push(fromBase64(header, algorithm, value));
  }
  if (payload !== undefined && payload !== 'UNSIGNED-PAYLOAD' && framing === undefined)
    digests.push(fromHex(PAYLOAD_HASH_HEADER, 'sha256', payload));
  return {
    contentLength: checkedLength(framing?.contentLength ?? contentLength(headers)),
    digests,
    framing,
    trailers: trailersOf(headers),
  };
}

/** What is announced and would not be checked is refused: who announces it relies on it. */
function refuseUnchecked(headers: Fields): void {
  if (headers.trailer !== undefined) {
    throw new S3Error(
      'NotImplemented',
      'trailer: HTTP trailers are not supported; announce checksums before the body, or in the trailer of an aws-chunked one',
    );
  }
  for (const name of Object.keys(headers)) if (name.startsWith(CHECKSUM_PREFIX) && name !== 'x-amz-checksum-type') algorithmOf(name);
}

/** The algorithm in the name of a checksum's field. */
function algorithmOf(header: string): (typeof CHECKSUM_ALGORITHMS)[number] {
  const algorithm = CHECKSUM_ALGORITHMS.find((known) => header === CHECKSUM_PREFIX + known);
  if (algorithm === undefined)
    throw new S3Error('NotImplemented', `${header}: no such checksum here; known are ${CHECKSUM_ALGORITHMS.join(', ')}`);
  return algorithm;
}

function trailersOf(headers: Fields): BodyExpectation['trailers'] {
  const names = new Set(listMembers(fieldOf(headers, 'x-amz-trailer') ?? '').map((name) => name.toLowerCase()));
  return [...names].map((header) => ({ header, algorithm: algorithmOf(header) }));
}

/**
 * The digests in a body's trailer, which must be the announced ones and no others.
 * @throws {S3Error} `MalformedTrailerError`, `InvalidDigest`
 */
export function trailerDigests(
  { trailers }: Pick<BodyExpectation, 'trailers'>,
  fields: readonly (readonly [name: string, value: string])[],
): ExpectedDigest[] {
  const values = new Map(fields);
  if (fields.length !== trailers.length || trailers.some(({ header }) => !values.has(header))) {
    const announced = trailers.map(({ header }) => header).join(', ');
    throw new S3Error('MalformedTrailerError', `the trailer must have each of ${announced} once, and nothing else; nothing was stored`);
  }
  return trailers.map(({ header, algorithm }) => fromBase64(header, algorithm, values.get(header) ?? ''));
}

function contentLength(headers: Fields): number | undefined {
  const value = fieldOf(headers, 'content-length');
  if (value === undefined) return undefined;
  return Number(value);
}

function checkedLength(length: number | undefined): number | undefined {
  if (length !== undefined && length > OBJECT_MAX_BYTES) throw tooLarge(OBJECT_MAX_BYTES);
  return length;
}

/** The refusal of a body that is too large. */
export function tooLarge(maxBytes: number): S3Error {
  return new S3Error('EntityTooLarge', `the body can have at most ${maxBytes} bytes`);
}

function fromBase64(header: string, algorithm: DigestAlgorithm, value: string): ExpectedDigest {
  const bytes = decodeBase64(value.trim());
  if (bytes?.byteLength !== DIGEST_BYTES[algorithm]) {
    throw new S3Error('InvalidDigest', `${header}: must be the ${DIGEST_BYTES[algorithm]} bytes of the digest in base64`);
  }
  return { header, algorithm, hex: bytes.toHex() };
}

function decodeBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: 'strict' });
  } catch {
    return undefined;
  }
}

function fromHex(header: string, algorithm: DigestAlgorithm, value: string): ExpectedDigest {
  const hex = value.trim().toLowerCase();
  if (!/^[0-9a-f]*$/.test(hex) || hex.length !== 2 * DIGEST_BYTES[algorithm]) {
    throw new S3Error('InvalidDigest', `${header}: must be ${2 * DIGEST_BYTES[algorithm]} hexadecimal digits, or UNSIGNED-PAYLOAD`);
  }
  return { header, algorithm, hex };
}

/** The algorithms that checking needs, and those wanted besides, without SHA-256, which names the content anyway. */
export function algorithmsToCompute(
  expectation: Pick<BodyExpectation, 'digests' | 'trailers'>,
  alsoWanted: readonly DigestAlgorithm[] = [],
): ReadonlySet<DigestAlgorithm> {
  const announced = [...expectation.digests, ...expectation.trailers].map(({ algorithm }) => algorithm);
  return new Set([...announced, ...alsoWanted].filter((algorithm) => algorithm !== 'sha256'));
}

/**
 * Compares a body with what was announced. `digests` are in lower-case hexadecimal.
 * @throws {S3Error} `IncompleteBody`, or `BadDigest` or `XAmzContentSHA256Mismatch` naming the header
 */
export function checkBody(
  expectation: Pick<BodyExpectation, 'contentLength' | 'digests'>,
  sizeBytes: number,
  digests: Readonly<Partial<Record<DigestAlgorithm, string>>>,
): void {
  const { contentLength: announced } = expectation;
  if (announced !== undefined && announced !== sizeBytes) {
    throw new S3Error('IncompleteBody', `content-length: announced ${announced} bytes, got ${sizeBytes}; nothing was stored`);
  }
  for (const { header, algorithm, hex } of expectation.digests) {
    if (digests[algorithm] !== hex) {
      const code = header === PAYLOAD_HASH_HEADER ? 'XAmzContentSHA256Mismatch' : 'BadDigest';
      throw new S3Error(code, `${header}: the body has another ${algorithm} than announced; nothing was stored`);
    }
  }
}
