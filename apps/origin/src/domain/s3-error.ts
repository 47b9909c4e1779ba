/** What the origin answers when it cannot do what was asked: Amazon S3's error codes, so that S3 clients understand them. */
import { SluiceError } from '@sluice/contracts';

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; `InsufficientStorage` is WebDAV's 507 (RFC 4918 §11.5). */
const STATUS_BY_CODE = {
  AuthorizationHeaderMalformed: 400,
  AuthorizationQueryParametersError: 400,
  BadDigest: 400,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  IncompleteBody: 400,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidDigest: 400,
  InvalidPart: 400,
  InvalidPartOrder: 400,
  InvalidRequest: 400,
  InvalidTag: 400,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedTrailerError: 400,
  MalformedXML: 400,
  MissingSecurityHeader: 400,
  TooManyBuckets: 400,
  XAmzContentSHA256Mismatch: 400,
  AccessDenied: 403,
  InvalidAccessKeyId: 403,
  RequestTimeTooSkewed: 403,
  SignatureDoesNotMatch: 403,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  NoSuchVersion: 404,
  MethodNotAllowed: 405,
  RequestTimeout: 408,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  MissingContentLength: 411,
  PreconditionFailed: 412,
  InvalidPartNumber: 416,
  InvalidRange: 416,
  MetadataTooLarge: 431,
  InternalError: 500,
  NotImplemented: 501,
  ServiceUnavailable: 503,
  SlowDown: 503,
  InsufficientStorage: 507,
} as const;

export type S3ErrorCode = keyof typeof STATUS_BY_CODE;
export const S3_ERROR_CODES = Object.keys(STATUS_BY_CODE) as readonly S3ErrorCode[];

/** A refusal may quote what came, and goes into an answer and into the log. */
export const MESSAGE_MAX_CHARACTERS = 2_048;

/** A refusal with its HTTP status. `message` tells the client what to do; `details` are further elements of the answer's document, by name. */
export class S3Error extends SluiceError {
  readonly status: number;
  readonly details: Readonly<Record<string, string>>;
  constructor(code: S3ErrorCode, message: string, cause?: unknown, details: Readonly<Record<string, string>> = {}) {
    const status = STATUS_BY_CODE[code];
    super(code, message.slice(0, MESSAGE_MAX_CHARACTERS).toWellFormed(), { retryable: status >= 500 && status !== 501, cause });
    this.name = 'S3Error';
    this.status = status;
    this.details = details;
  }
}

/** Content that is read at a source: it has changed there just now, or cannot be read there, or too many read it. */
const AT_THE_SOURCE: ReadonlySet<string> = new Set(['BLOB_MISSING', 'REVISION_GONE', 'SOURCE_AWAY', 'BUSY']);

/** Any thrown value as what the client may know of it: no path, no stack. */
export function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  if (error instanceof SluiceError) {
    if (error.code === 'DISK_FULL') {
      return new S3Error('InsufficientStorage', 'the disk of the origin is full: nothing was stored; free space and try again', error);
    }
    if (error.retryable && AT_THE_SOURCE.has(error.code)) {
      return new S3Error('ServiceUnavailable', 'the content cannot be read at its source now; try again a little later', error);
    }
    if (error.code === 'BLOB_DAMAGED') {
      return new S3Error('InternalError', 'the content is damaged on the disk of the origin and is not given out; upload it again', error);
    }
    if (error.code === 'INVALID_MESSAGE') return new S3Error('InvalidArgument', error.message, error);
  }
  return new S3Error('InternalError', 'the origin failed inside; its log has the request id with the reason. Try again', error);
}
