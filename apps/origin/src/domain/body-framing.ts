/**
 * Bodies in `aws-chunked` framing: which requests have one, and what it carries.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html, https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 */
import { type Fields, fieldOf, listMembers } from '@sluice/http-semantics';
import { S3Error } from './s3-error.ts';

export interface Framing {
  /** Whether chunks and trailer have signatures. */
  readonly signed: boolean;
  /** Whether fields follow the last chunk. */
  readonly trailer: boolean;
  /** Bytes without the framing. */
  readonly contentLength: number;
}

const CODING = 'aws-chunked';
/** By `x-amz-content-sha256`. */
const FORMS: Readonly<Record<string, Pick<Framing, 'signed' | 'trailer'>>> = {
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD': { signed: true, trailer: false },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': { signed: true, trailer: true },
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER': { signed: false, trailer: true },
};

/**
 * Undefined for a body without framing.
 * @throws {S3Error} `NotImplemented`, `MissingContentLength`, `InvalidRequest` where the fields contradict each other
 */
export function framingOf(headers: Fields): Framing | undefined {
  const payload = fieldOf(headers, 'x-amz-content-sha256') ?? '';
  const form = Object.hasOwn(FORMS, payload) ? FORMS[payload] : undefined;
  if (form === undefined) {
    if (payload.startsWith('STREAMING-')) throw new S3Error('NotImplemented', `x-amz-content-sha256: ${payload} is not supported`);
    refuseWithoutFraming(headers);
    return undefined;
  }
  if (form.trailer !== (headers['x-amz-trailer'] !== undefined)) {
    const message = form.trailer ? 'x-amz-trailer must name the fields behind the body' : `x-amz-trailer: ${payload} has no trailer`;
    throw new S3Error('InvalidRequest', message);
  }
  const length = fieldOf(headers, 'x-amz-decoded-content-length');
  if (length === undefined || !/^\d{1,15}$/.test(length)) {
    throw new S3Error('MissingContentLength', 'x-amz-decoded-content-length must say how many bytes the body has without its framing');
  }
  return { ...form, contentLength: Number(length) };
}

/** Stored as it comes, a body that is framed after all would be other bytes than were meant. */
function refuseWithoutFraming(headers: Fields): void {
  const unframed = 'is there, but x-amz-content-sha256 names none of the STREAMING forms';
  for (const name of ['x-amz-decoded-content-length', 'x-amz-trailer']) {
    if (headers[name] !== undefined) throw new S3Error('InvalidRequest', `${name} ${unframed}`);
  }
  if (codingsOf(headers).some(isFramingCoding)) throw new S3Error('InvalidRequest', `content-encoding: ${CODING} ${unframed}`);
}

/** The content's own codings: `Content-Encoding` without what only frames the body. Undefined when none are left. */
export function contentEncodingOf(headers: Fields): string | undefined {
  const value = fieldOf(headers, 'content-encoding');
  const codings = codingsOf(headers);
  const own = codings.filter((coding) => !isFramingCoding(coding));
  if (own.length === codings.length) return value;
  return own.length === 0 ? undefined : own.join(', ');
}

function codingsOf(headers: Fields): string[] {
  return listMembers(fieldOf(headers, 'content-encoding') ?? '');
}

function isFramingCoding(coding: string): boolean {
  return coding.toLowerCase() === CODING;
}
