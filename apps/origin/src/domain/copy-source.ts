/** What a copy is made from: https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html */
import { type ByteRange, evaluatePreconditions, type Fields, fieldOf, type Validators } from '@sluice/http-semantics';
import { S3Error } from './s3-error.ts';
import { type Resource, resourceOf } from './s3-resource.ts';

const SOURCE_HEADER = 'x-amz-copy-source';
const RANGE_HEADER = 'x-amz-copy-source-range';
const CONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'] as const;

/** The object that `x-amz-copy-source` names: `<bucket>/<path>`, percent-encoded, with or without a slash before it. @throws {S3Error} */
export function copySource(headers: Fields): Resource & { readonly kind: 'object' } {
  const value = fieldOf(headers, SOURCE_HEADER)?.trim() ?? '';
  const [path = '', query] = value.split('?');
  if (query !== undefined) throw new S3Error('NotImplemented', `${SOURCE_HEADER}: "?${query}" is not supported`);
  // Clients may leave other characters than "%" and "?" as they are; header fields come as Latin-1.
  const target = encodeURI(Buffer.from(path, 'latin1').toString()).replaceAll('%25', '%');
  const resource = resourceOf(target.startsWith('/') ? target : `/${target}`);
  if (resource.kind !== 'object') throw new S3Error('InvalidArgument', `${SOURCE_HEADER}: must be <bucket>/<key>, percent-encoded`);
  return resource;
}

/** The bytes that `x-amz-copy-source-range` names, all without it. @throws {S3Error} `InvalidArgument` */
export function copySourceRange(headers: Fields, sizeBytes: number): ByteRange {
  const value = fieldOf(headers, RANGE_HEADER);
  if (value === undefined) return { start: 0, end: sizeBytes - 1 };
  const [, first, last] = /^bytes=([0-9]{1,15})-([0-9]{1,15})$/.exec(value.trim()) ?? [];
  const range = { start: Number(first), end: Number(last) };
  if (first === undefined || range.end < range.start) {
    throw new S3Error('InvalidArgument', `${RANGE_HEADER}: must be bytes=first-last, both inclusive and counted from 0`);
  }
  if (range.end >= sizeBytes) throw new S3Error('InvalidArgument', `${RANGE_HEADER}: the source has only ${sizeBytes} bytes`);
  return range;
}

/** Compares the source with the conditions `x-amz-copy-source-if-*`. @throws {S3Error} `PreconditionFailed` */
export function checkCopySource(headers: Fields, validators: Validators): void {
  const conditions = Object.fromEntries(CONDITIONS.map((name) => [name, fieldOf(headers, `${SOURCE_HEADER}-${name}`)]));
  if (evaluatePreconditions('GET', conditions, validators) === 'proceed') return;
  throw new S3Error('PreconditionFailed', `the source is not as ${SOURCE_HEADER}-if-* demand`);
}
