/** Requests of the S3 API, signed and written down. */
import { type Credentials, signedFields, UNSIGNED_PAYLOAD, uriEncode } from '@sluice/sigv4';
import type { WrittenRequest } from './connection.ts';

/** Whom the requests are for, and whose they are. */
export interface Endpoint {
  readonly port: number;
  readonly credentials: Credentials;
}

export interface S3Request {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly bucket: string;
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/**
 * Signed in its header, with a body that is not signed: so no side hashes for the signature alone what it takes. It is good for as long as the
 * server's clock is not more than 15 minutes further on.
 */
export function written({ port, credentials }: Endpoint, { method, bucket, key, query = {}, body }: S3Request): WrittenRequest {
  const path = key === undefined ? `/${bucket}` : `/${bucket}/${key.split('/').map(uriEncode).join('/')}`;
  const search = Object.entries(query).map(([name, value]) => `${uriEncode(name)}=${uriEncode(value)}`);
  const url = new URL(`http://127.0.0.1:${port}${path}${search.length === 0 ? '' : `?${search.join('&')}`}`);
  const headers: Record<string, string> =
    method === 'GET' || method === 'DELETE' ? {} : { 'content-length': String(body?.byteLength ?? 0) };
  if (method === 'PUT' && key !== undefined) headers['content-type'] = 'application/octet-stream';
  const fields = signedFields({ method, url, headers, payloadHash: UNSIGNED_PAYLOAD }, credentials, Date.now());
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return { head: Buffer.from(`${method} ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), body };
}
