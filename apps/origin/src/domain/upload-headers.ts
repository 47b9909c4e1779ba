/** Request headers of an upload → the fields of its manifest. */
import { fieldValue, LIST_MAX_ITEMS, type Manifest, metaName, region, tag } from '@sluice/contracts';
import { type Fields, fieldOf } from '@sluice/http-semantics';
import { lookup } from 'mime-types';
import { contentEncodingOf } from './body-framing.ts';
import { tagsOfHeader } from './object-tags.ts';
import { S3Error } from './s3-error.ts';

/** What a publisher says about the content. */
export type UploadFields = Omit<Manifest, 'key' | 'version' | 'sha256' | 'size' | 'uploadedAt' | 'variants' | 'contentVersion'>;

export const META_PREFIX = 'x-amz-meta-';
export const REGIONS_HEADER = `${META_PREFIX}regions`;
export const TAGS_HEADER = `${META_PREFIX}tags`;
/** S3's own, for the same tags: see {@link tagsOfHeader}. */
const TAGGING_HEADER = 'x-amz-tagging';
const DEFAULT_CONTENT_TYPE = 'application/octet-stream';

/** S3's name for it, and S3's rule: https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-page-redirect.html */
const REDIRECT_HEADER = 'x-amz-website-redirect-location';

const STANDARD_FIELDS = [
  ['cache-control', 'cacheControl'],
  ['cdn-cache-control', 'cdnCacheControl'],
  ['content-encoding', 'contentEncoding'],
  ['content-language', 'contentLanguage'],
  ['content-disposition', 'contentDisposition'],
  ['expires', 'expires'],
  [REDIRECT_HEADER, 'redirectLocation'],
] as const;

/**
 * The manifest fields that an upload's headers give. Without a Content-Type the key's extension decides.
 * @throws {S3Error} `InvalidArgument` naming the header, `InvalidTag`
 */
export function uploadFields(key: string, headers: Fields): UploadFields {
  const fields: UploadFields = {
    contentType: checked(headers, 'content-type') || contentTypeByName(key),
    meta: userMetadata(headers),
    regions: nameList(headers, REGIONS_HEADER, region, 'US,IN'),
    tags: tags(headers),
  };
  for (const [header, field] of STANDARD_FIELDS) {
    const value = checked(headers, header);
    if (value) fields[field] = value;
  }
  if (fields.redirectLocation !== undefined && !isRedirectLocation(fields.redirectLocation)) {
    throw invalid(REDIRECT_HEADER, REDIRECT_LOCATION_RULE);
  }
  return fields;
}

/** What content is by its key's extension. */
export function contentTypeByName(key: string): string {
  return lookup(key) || DEFAULT_CONTENT_TYPE;
}

export const REDIRECT_LOCATION_RULE = 'must begin with "/", "http://" or "https://"';
export function isRedirectLocation(value: string): boolean {
  return /^(?:\/|https?:\/\/)/.test(value);
}

function checked(headers: Fields, name: string): string | undefined {
  const value = name === 'content-encoding' ? contentEncodingOf(headers) : fieldOf(headers, name);
  if (value === undefined) return undefined;
  const result = fieldValue.safeParse(value);
  if (!result.success) throw invalid(name, result.error.issues[0]?.message);
  return result.data;
}

function userMetadata(headers: Fields): Record<string, string> {
  const meta: [string, string][] = [];
  for (const header of Object.keys(headers)) {
    if (!header.startsWith(META_PREFIX) || header === REGIONS_HEADER || header === TAGS_HEADER) continue;
    const name = metaName.safeParse(header.slice(META_PREFIX.length));
    if (!name.success) throw invalid(header, `the name after "${META_PREFIX}" ${name.error.issues[0]?.message}`);
    meta.push([name.data, checked(headers, header) ?? '']);
  }
  if (meta.length > LIST_MAX_ITEMS) throw new S3Error('InvalidArgument', `there are more than ${LIST_MAX_ITEMS} ${META_PREFIX}* headers`);
  // fromEntries defines own properties, so a header called `__proto__` is only a name.
  return Object.fromEntries(meta);
}

function tags(headers: Fields): string[] {
  const named = nameList(headers, TAGS_HEADER, tag, 'v41,home');
  const distinct = [...new Set([...named, ...tagsOfHeader(fieldOf(headers, TAGGING_HEADER) ?? '')])];
  if (distinct.length > LIST_MAX_ITEMS) throw new S3Error('InvalidTag', `an object can have at most ${LIST_MAX_ITEMS} tags`);
  return distinct;
}

/** What a publisher has said about the content of a manifest. */
export function uploadFieldsOf(manifest: Manifest): UploadFields {
  const { key, version, sha256, size, uploadedAt, variants, contentVersion, ...fields } = manifest;
  return fields;
}

/** A comma-separated header. Empty is refused: a placement that was meant to be narrow must not become "everywhere" by accident. */
function nameList(headers: Fields, header: string, item: typeof region | typeof tag, example: string): string[] {
  const value = fieldOf(headers, header);
  if (value === undefined) return [];
  const names = value.split(',').map((name) => {
    const result = item.safeParse(name.trim());
    if (!result.success) throw invalid(header, `each name ${result.error.issues[0]?.message}, as in "${example}"`);
    return result.data;
  });
  const distinct = [...new Set(names)];
  if (distinct.length > LIST_MAX_ITEMS) throw invalid(header, `must have at most ${LIST_MAX_ITEMS} names`);
  return distinct;
}

function invalid(header: string, problem: string | undefined): S3Error {
  return new S3Error('InvalidArgument', `${header}: ${problem ?? 'is not valid'}`);
}

/** The header fields under which a manifest's metadata goes back to an S3 client. */
export function metadataHeaders(manifest: UploadFields): [name: string, value: string][] {
  const headers: [string, string][] = [['content-type', manifest.contentType]];
  for (const [header, field] of STANDARD_FIELDS) {
    const value = manifest[field];
    if (value !== undefined) headers.push([header, value]);
  }
  for (const [name, value] of Object.entries(manifest.meta)) headers.push([META_PREFIX + name, value]);
  if (manifest.regions.length > 0) headers.push([REGIONS_HEADER, manifest.regions.join(',')]);
  if (manifest.tags.length > 0) headers.push([TAGS_HEADER, manifest.tags.join(',')]);
  return headers;
}
