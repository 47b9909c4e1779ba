/** A client's side: the header fields that sign a request. */
import { canonicalRequest } from './canonical-request.ts';
import { ALGORITHM, amzDate, type Scope, scopeText, signatureOf, signingKey, stringToSign } from './signature.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Signable {
  readonly method: string;
  /** With the path as it is sent. */
  readonly url: URL;
  /** Sent with it; the names in lower case. All of them are signed. */
  readonly headers: Readonly<Record<string, string>>;
  /** Lower-case hexadecimal SHA-256 of the body, or `UNSIGNED-PAYLOAD`. */
  readonly payloadHash: string;
}

/** Whoever verifies it may take any region; this is S3's default. */
const REGION = 'us-east-1';

/** The fields to send: those given, and `host`, `x-amz-date`, `x-amz-content-sha256` and `authorization`. */
export function signedFields(
  { method, url, headers, payloadHash }: Signable,
  credentials: Credentials,
  nowMs: number,
): Record<string, string> {
  const date = amzDate(nowMs);
  const scope: Scope = { date: date.slice(0, 8), region: REGION, service: 's3' };
  const fields: Record<string, string> = { ...headers, host: url.host, 'x-amz-date': date, 'x-amz-content-sha256': payloadHash };
  const signedHeaders = Object.keys(fields).sort();
  const canonical = canonicalRequest({
    method,
    path: decodeURIComponent(url.pathname),
    query: url.searchParams,
    headers: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, [value]])),
    signedHeaders,
    payloadHash,
  });
  const signature = signatureOf(signingKey(credentials.secretAccessKey, scope), stringToSign(date, scope, canonical));
  const credential = `${credentials.accessKeyId}/${scopeText(scope)}`;
  const authorization = `${ALGORITHM} Credential=${credential}, SignedHeaders=${signedHeaders.join(';')}, Signature=${signature}`;
  return { ...fields, authorization };
}
