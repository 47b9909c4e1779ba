import { createHmac } from 'node:crypto';
import type { Credentials } from '@sluice/sigv4';

export interface OldLinkParts {
  readonly method?: string;
  /** With the bucket, encoded as it is sent. */
  readonly path: string;
  /** Decoded; those that are signed, in the order of their names. */
  readonly query?: readonly (readonly [name: string, value: string])[];
  /** Seconds since the epoch. */
  readonly expires?: string;
}

/** Path and query of a link as s3cmd and boto sign one with Version 2. */
export function oldLink(credentials: Credentials, { method = 'GET', path, query = [], expires = inSeconds(60) }: OldLinkParts): string {
  const signed = query.map(([name, value]) => `${name}=${value}`).join('&');
  const text = `${method}\n\n\n${expires}\n${path}${signed === '' ? '' : `?${signed}`}`;
  const Signature = createHmac('sha1', credentials.secretAccessKey).update(text).digest('base64');
  const own = Object.entries({ AWSAccessKeyId: credentials.accessKeyId, Expires: expires, Signature });
  return `${path}?${[...own, ...query].map((pair) => pair.map(encodeURIComponent).join('=')).join('&')}`;
}

/** So many seconds from now. */
export function inSeconds(seconds: number): string {
  return String(Math.floor(Date.now() / 1000) + seconds);
}
