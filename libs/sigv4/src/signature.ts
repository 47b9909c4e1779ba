/** From a canonical request to its signature. https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export const ALGORITHM = 'AWS4-HMAC-SHA256';

/** What a signing key is good for: one day, one region, one service. */
export interface Scope {
  /** `20130524`, in UTC. */
  readonly date: string;
  readonly region: string;
  readonly service: string;
}

export function scopeText({ date, region, service }: Scope): string {
  return `${date}/${region}/${service}/aws4_request`;
}

/** `20130524T000000Z` of milliseconds since the epoch. */
export function amzDate(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

/** The key of a scope, derived from a secret. */
export function signingKey(secret: string, { date, region, service }: Scope): Buffer {
  const parts = [date, region, service, 'aws4_request'];
  return parts.reduce<Buffer>((key, part) => hmac(key, part), Buffer.from(`AWS4${secret}`));
}

/** `canonical`: a character is a byte. */
export function stringToSign(date: string, scope: Scope, canonical: string): string {
  return [ALGORITHM, date, scopeText(scope), createHash('sha256').update(canonical, 'latin1').digest('hex')].join('\n');
}

/** In lower-case hexadecimal. */
export function signatureOf(key: Uint8Array, text: string): string {
  return hmac(key, text).toString('hex');
}

/** In the same time wherever they begin to differ. */
export function signaturesEqual(a: string, b: string): boolean {
  const [bytesA, bytesB] = [Buffer.from(a), Buffer.from(b)];
  return bytesA.byteLength === bytesB.byteLength && timingSafeEqual(bytesA, bytesB);
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
