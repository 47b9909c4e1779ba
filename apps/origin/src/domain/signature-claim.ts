/**
 * What a request says of its signature: in `Authorization`, or in the query of a presigned URL.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
import { type Fields, fieldOf, parseHttpDate } from '@sluice/http-semantics';
import { ALGORITHM, amzDate, type Scope } from '@sluice/sigv4';
import { S3Error, type S3ErrorCode } from './s3-error.ts';

export interface SignatureClaim {
  readonly accessKeyId: string;
  readonly scope: Scope;
  /** As it was signed, and in milliseconds since the epoch. */
  readonly date: string;
  readonly atMs: number;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** Of a presigned URL: seconds from its date on. */
  readonly expiresSeconds: number | undefined;
}

const PARAMETERS = [
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-SignedHeaders',
  'X-Amz-Signature',
] as const;
/** Not part of what is signed. */
export const SIGNATURE_PARAMETER = 'X-Amz-Signature';
/** One week. */
const EXPIRES_MAX_SECONDS = 604_800;

const SIGNATURE = /^[0-9a-f]{64}$/;
const SIGNED_HEADERS = /^[!#$%&'*+.^_`|~0-9a-z-]+(?:;[!#$%&'*+.^_`|~0-9a-z-]+)*$/;

/** Whether the query has a signature of Version 4, or means to. */
export function isPresigned(query: URLSearchParams): boolean {
  return PARAMETERS.some((name) => query.has(name));
}

/** Of Version 4. @throws {S3Error} when there is none, or it cannot be read */
export function claimOf(headers: Fields, query: URLSearchParams): SignatureClaim {
  const authorization = fieldOf(headers, 'authorization');
  if (isPresigned(query)) {
    if (authorization !== undefined) refuseTwoSignatures();
    return fromQuery(query);
  }
  if (/^AWS /i.test(authorization ?? '')) {
    const message = `Signature Version 2 is supported in links for reading only; tell the client to sign with Version 4 (${ALGORITHM})`;
    throw new S3Error('AccessDenied', message);
  }
  if (authorization === undefined) {
    throw new S3Error('AccessDenied', 'requests must be signed with AWS Signature Version 4 and a key of this origin');
  }
  return fromAuthorization(authorization, headers);
}

/** @throws {S3Error} always */
export function refuseTwoSignatures(): never {
  throw new S3Error('InvalidArgument', 'the request is signed twice; sign it in the query or in Authorization');
}

function fromQuery(query: URLSearchParams): SignatureClaim {
  const malformed = refusing('AuthorizationQueryParametersError');
  const [algorithm, credential, date, expires, signedHeaders, signature] = PARAMETERS.map((name) => {
    const values = query.getAll(name);
    if (values.length !== 1) throw malformed(`${name} must be there once`);
    return values[0] as string;
  }) as [string, string, string, string, string, string];
  if (algorithm !== ALGORITHM) throw malformed(`X-Amz-Algorithm must be ${ALGORITHM}`);
  const expiresSeconds = /^\d{1,6}$/.test(expires) ? Number(expires) : 0;
  if (expiresSeconds < 1 || expiresSeconds > EXPIRES_MAX_SECONDS) {
    throw malformed(`X-Amz-Expires must be seconds from 1 to ${EXPIRES_MAX_SECONDS}`);
  }
  const atMs = instantOf(date);
  if (atMs === undefined) throw malformed('X-Amz-Date must be a time such as 20130524T000000Z');
  return { ...claim(credential, date, signedHeaders, signature, malformed), date, atMs, expiresSeconds };
}

function fromAuthorization(authorization: string, headers: Fields): SignatureClaim {
  const malformed = refusing('AuthorizationHeaderMalformed');
  const [algorithm, ...rest] = authorization.trim().split(/ +/);
  if (algorithm !== ALGORITHM) throw malformed(`Authorization must begin with ${ALGORITHM}`);
  const parts = new Map(
    rest
      .join('')
      .split(',')
      .map((part) => {
        const equals = part.indexOf('=');
        return [part.slice(0, equals), part.slice(equals + 1)];
      }),
  );
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) => {
    const value = parts.get(name);
    if (value === undefined) throw malformed(`Authorization has no ${name}`);
    return value;
  }) as [string, string, string];
  const { date, atMs } = requestTime(headers);
  return { ...claim(credential, date, signedHeaders, signature, malformed), date, atMs, expiresSeconds: undefined };
}

/** `x-amz-date`, or else `Date`. */
function requestTime(headers: Fields): Pick<SignatureClaim, 'date' | 'atMs'> {
  const date = fieldOf(headers, 'x-amz-date');
  const atMs = date === undefined ? parseHttpDate(fieldOf(headers, 'date')) : instantOf(date);
  if (atMs === undefined) {
    throw new S3Error('MissingSecurityHeader', 'x-amz-date must be a time such as 20130524T000000Z, or be left to a valid Date');
  }
  return { date: date ?? amzDate(atMs), atMs };
}

function claim(
  credential: string,
  date: string,
  signedHeaders: string,
  signature: string,
  malformed: (problem: string) => S3Error,
): Pick<SignatureClaim, 'accessKeyId' | 'scope' | 'signedHeaders' | 'signature'> {
  const [accessKeyId = '', day = '', region = '', service, terminator, ...more] = credential.split('/');
  if (service !== 's3' || terminator !== 'aws4_request' || accessKeyId === '' || region === '' || more.length > 0) {
    throw malformed('the credential must be <access key id>/<date>/<region>/s3/aws4_request');
  }
  if (day !== date.slice(0, 8)) throw malformed(`the credential is of ${day}, the request of ${date.slice(0, 8)}`);
  if (!SIGNED_HEADERS.test(signedHeaders)) throw malformed('the signed headers must be names in lower case, separated by semicolons');
  if (!SIGNATURE.test(signature)) throw malformed('the signature must be 64 digits of lower-case hexadecimal');
  return { accessKeyId, scope: { date: day, region, service }, signedHeaders: signedHeaders.split(';'), signature };
}

function refusing(code: S3ErrorCode): (problem: string) => S3Error {
  return (problem) => new S3Error(code, problem);
}

/** Milliseconds since the epoch of `20130524T000000Z`. */
function instantOf(date: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  if (parts === null) return undefined;
  const [, year, month, day, hours, minutes, seconds] = parts;
  const ms = Date.parse(`${year}-${month}-${day}T${hours}:${minutes}:${seconds}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}
