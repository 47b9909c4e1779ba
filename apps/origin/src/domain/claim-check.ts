/** What a claim must be apart from right: in time, and about everything that matters. */
import { S3Error } from './s3-error.ts';
import type { SignatureClaim } from './signature-claim.ts';

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: `RequestTimeTooSkewed`. */
export const SKEW_MAX_MS = 15 * 60_000;

/** @throws {S3Error} `RequestTimeTooSkewed`; `AccessDenied` of a presigned URL before and after its time */
export function checkTime({ atMs, expiresSeconds }: Pick<SignatureClaim, 'atMs' | 'expiresSeconds'>, nowMs: number): void {
  const ServerTime = new Date(nowMs).toISOString();
  if (expiresSeconds === undefined) {
    if (Math.abs(nowMs - atMs) <= SKEW_MAX_MS) return;
    const message = "the time of the request and this origin's differ by more than 15 minutes; set the clock of one";
    const RequestTime = new Date(atMs).toISOString();
    throw new S3Error('RequestTimeTooSkewed', message, undefined, {
      RequestTime,
      ServerTime,
      MaxAllowedSkewMilliseconds: String(SKEW_MAX_MS),
    });
  }
  if (atMs - nowMs > SKEW_MAX_MS) throw new S3Error('AccessDenied', 'Request is not valid yet', undefined, { ServerTime });
  checkNotExpired(atMs + expiresSeconds * 1000, nowMs, { 'X-Amz-Expires': String(expiresSeconds) });
}

/** `details`: further elements of the refusal. @throws {S3Error} `AccessDenied` */
export function checkNotExpired(expiresMs: number, nowMs: number, details: Readonly<Record<string, string>> = {}): void {
  if (nowMs <= expiresMs) return;
  const times = { Expires: new Date(expiresMs).toISOString(), ServerTime: new Date(nowMs).toISOString() };
  throw new S3Error('AccessDenied', 'Request has expired', undefined, { ...details, ...times });
}

/** What decides over the meaning of a request must be signed. `present`: the names of its fields. @throws {S3Error} `AccessDenied` */
export function checkSignedHeaders(signedHeaders: readonly string[], present: readonly string[]): void {
  const unsigned = ['host', ...present.filter((name) => name.startsWith('x-amz-'))].filter((name) => !signedHeaders.includes(name));
  if (unsigned.length === 0) return;
  const HeadersNotSigned = unsigned.join(', ');
  throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', undefined, { HeadersNotSigned });
}
