/** The digests and the length that a client announces for a body, and whether the body has them. */

import { type Fields, fieldOf } from '@sluice/http-semantics';
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
  /** Bytes; undefined for a body in chunked coding. */
  readonly contentLength: number | undefined;
  readonly digests: readonly ExpectedDigest[];
}

/** Largest object: Amazon S3's limit, 5 TiB. */
export const OBJECT_MAX_BYTES = 5 * 1024 ** 4;

/** Those of `x-amz-checksum-*`. */
export const CHECKSUM_ALGORITHMS = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const;

/**
 * What the headers of an upload promise about its body.
 * @throws {S3Error} `InvalidDigest`, `EntityTooLarge`; `NotImplemented` for a body in `aws-chunked` framing, which stored as it comes would be
 * other bytes than the client meant, and for announcements that would go unchecked
 */
export function expectedBody(headers: Fields): BodyExpectation {
  const payload = fieldOf(headers, 'x-amz-content-sha256');
  const encodings = fieldOf(headers, 'content-encoding')?.toLowerCase() ?? '';
  if (payload?.startsWith('STREAMING-') || encodings.split(',').some((coding) => coding.trim() === 'aws-chunked')) {
    throw new S3Error('NotImplemented', 'bodies in aws-chunked framing are not supported; send the plain bytes (UNSIGNED-PAYLOAD)');
  }
  refuseUnchecked(headers);
  const digests: ExpectedDigest[] = [];
  const md5 = fieldOf(headers, 'content-md5');
  if (md5 !== undefined) digests.push(fromBase64('content-md5', 'md5', md5));
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const header = `x-amz-checksum-${algorithm}`;
    const value = fieldOf(headers, header);
    if (value !== undefined) digests.push(fromBase64(header, algorithm, value));
  }
  if (payload !== undefined && payload !== 'UNSIGNED-PAYLOAD') digests.push(fromHex('x-amz-content-sha256', 'sha256', payload));
  return { contentLength: contentLength(headers), digests };
}

/** What is announced and would not be checked is refused: who announces it relies on it. */
function refuseUnchecked(headers: Fields): void {
  for (const name of ['trailer', 'x-amz-trailer', 'x-amz-decoded-content-length']) {
    if (headers[name] !== undefined) {
      throw new S3Error(
        'NotImplemented',
        `${name}: trailers and framed bodies are not supported; announce checksums in the header, before the body`,
      );
    }
  }
  for (const name of Object.keys(headers)) {
    const algorithm = /^x-amz-checksum-(.*)$/.exec(name)?.[1];
    if (algorithm !== undefined && algorithm !== 'type' && !(CHECKSUM_ALGORITHMS as readonly string[]).includes(algorithm)) {
      throw new S3Error('NotImplemented', `${name}: no such checksum here; known are ${CHECKSUM_ALGORITHMS.join(', ')}`);
    }
  }
}

function contentLength(headers: Fields): number | undefined {
  const value = fieldOf(headers, 'content-length');
  if (value === undefined) return undefined;
  const length = Number(value);
  if (length > OBJECT_MAX_BYTES) throw tooLarge(OBJECT_MAX_BYTES);
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
  expectation: BodyExpectation,
  alsoWanted: readonly DigestAlgorithm[] = [],
): ReadonlySet<DigestAlgorithm> {
  const needed = [...expectation.digests.map(({ algorithm }) => algorithm), ...alsoWanted];
  return new Set(needed.filter((algorithm) => algorithm !== 'sha256'));
}

/**
 * Compares a body with what was announced. `digests` are in lower-case hexadecimal.
 * @throws {S3Error} `IncompleteBody` or `BadDigest` naming the header
 */
export function checkBody(
  expectation: BodyExpectation,
  sizeBytes: number,
  digests: Readonly<Partial<Record<DigestAlgorithm, string>>>,
): void {
  const { contentLength: announced } = expectation;
  if (announced !== undefined && announced !== sizeBytes) {
    throw new S3Error('IncompleteBody', `content-length: announced ${announced} bytes, got ${sizeBytes}; nothing was stored`);
  }
  for (const { header, algorithm, hex } of expectation.digests) {
    if (digests[algorithm] !== hex) {
      throw new S3Error('BadDigest', `${header}: the body has another ${algorithm} than announced; nothing was stored`);
    }
  }
}
