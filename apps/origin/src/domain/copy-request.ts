/** Copies: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html */
import type { Manifest } from '@sluice/contracts';
import { type ByteRange, evaluatePreconditions, type Fields, fieldOf } from '@sluice/http-semantics';
import { type UploadDefaults, withDefaults } from './bucket-settings.ts';
import { S3Error } from './s3-error.ts';
import { type Resource, resourceOf } from './s3-resource.ts';
import { type UploadFields, uploadFields, uploadFieldsOf } from './upload-headers.ts';
import { versionAsked } from './version-id.ts';

const SOURCE_HEADER = 'x-amz-copy-source';
const RANGE_HEADER = 'x-amz-copy-source-range';
const CONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'] as const;

/** A copied object as it is now. */
export interface CopySource {
  readonly manifest: Manifest;
  /** MD5 in hexadecimal. */
  readonly etag: string;
}

/** An object, and which version of it; undefined: the current one. */
export type NamedSource = Resource & { readonly kind: 'object'; readonly version: number | undefined };

/**
 * What `x-amz-copy-source` names: bucket and key with or without a "/" before them, percent-encoded or as they are.
 * @throws {S3Error} `InvalidArgument`, and what {@link resourceOf} throws
 */
export function copySource(headers: Fields): NamedSource {
  const [, path = '', version] = /^(?:\/|%2F)?(.*?)(?:\?versionId=([^?]*))?$/i.exec(fieldOf(headers, SOURCE_HEADER) ?? '') ?? [];
  // HTTP gives each byte as a character.
  const encoded = path.replace(/[^\x21-\x3e\x40-\x7e]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
  const resource = resourceOf(`/${encoded}`);
  if (resource.kind !== 'object') throw new S3Error('InvalidArgument', `${SOURCE_HEADER}: must be <bucket>/<key>`);
  return { ...resource, version: versionAsked(version) };
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

/** Refuses a copy whose `x-amz-copy-source-if-*` do not hold. @throws {S3Error} `PreconditionFailed` */
export function checkCopySource(headers: Fields, { manifest, etag }: CopySource): void {
  const conditions = Object.fromEntries(CONDITIONS.map((name) => [name, fieldOf(headers, `${SOURCE_HEADER}-${name}`)]));
  // Clients send entity tags with and without their quotes.
  for (const name of ['if-match', 'if-none-match']) if (conditions[name]?.trim() === etag) conditions[name] = `"${etag}"`;
  const validators = { etag: `"${etag}"`, lastModifiedMs: Date.parse(manifest.uploadedAt) };
  if (evaluatePreconditions('GET', conditions, validators) !== 'proceed') {
    throw new S3Error('PreconditionFailed', `the source is not as ${SOURCE_HEADER}-if-… demand; nothing was copied`);
  }
}

/**
 * `isVersion`: a version was named, so a copy onto itself makes it current again. The fields of the copy under `key`: the source's, or the request's where a directive says REPLACE. `x-amz-meta-tags` among replaced metadata
 * replaces the tags; a redirection is never copied. `defaults` are for what is replaced, as for an upload.
 * @throws {S3Error} `InvalidRequest` when an object would be copied onto itself as it is, and what {@link uploadFields} throws
 */
export function copyFields(
  key: string,
  headers: Fields,
  { manifest }: CopySource,
  { isVersion = false, defaults = {} }: { readonly isVersion?: boolean; readonly defaults?: UploadDefaults } = {},
): UploadFields {
  const replacesMetadata = replaces(headers, 'x-amz-metadata-directive');
  const replacesTags = replaces(headers, 'x-amz-tagging-directive');
  const { 'x-amz-tagging': _, ...untagged } = headers;
  const given = withDefaults(uploadFields(key, replacesTags ? headers : untagged), defaults);
  const { redirectLocation, ...copied } = uploadFieldsOf(manifest);
  if (
    !isVersion &&
    manifest.key === key &&
    !replacesMetadata &&
    !replacesTags &&
    (given.redirectLocation ?? redirectLocation) === redirectLocation
  ) {
    throw new S3Error(
      'InvalidRequest',
      'the object would be copied onto itself without a change; say x-amz-metadata-directive: REPLACE and what to change',
    );
  }
  if (!replacesMetadata) {
    return {
      ...copied,
      ...(replacesTags ? { tags: given.tags } : {}),
      ...(given.redirectLocation === undefined ? {} : { redirectLocation: given.redirectLocation }),
    };
  }
  const tags = replacesTags || headers['x-amz-meta-tags'] !== undefined ? given.tags : copied.tags;
  return { ...given, tags };
}

function replaces(headers: Fields, name: string): boolean {
  const directive = fieldOf(headers, name) ?? 'COPY';
  if (directive !== 'COPY' && directive !== 'REPLACE') throw new S3Error('InvalidArgument', `${name}: must be COPY or REPLACE`);
  return directive === 'REPLACE';
}
