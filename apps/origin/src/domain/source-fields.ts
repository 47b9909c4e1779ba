/** Response headers of an S3 service → the fields of a manifest. */
import { LIST_MAX_ITEMS } from '@sluice/contracts';
import { type Fields, fieldOf } from '@sluice/http-semantics';
import { type TagPair, tagsOf } from './object-tags.ts';
import { S3Error } from './s3-error.ts';
import { META_PREFIX, REGIONS_HEADER, TAGS_HEADER, type UploadFields, uploadFields } from './upload-headers.ts';

/** A manifest refuses metadata of this name. */
const NOT_IN_MANIFESTS = `${META_PREFIX}__proto__`;
const EDGES_HEADER = 'cdn-cache-control';
/** What S3 makes of an upload without a type. The key's extension knows better. */
const NO_TYPE = 'binary/octet-stream';

export interface SourceFields {
  readonly fields: UploadFields;
  /** The headers of which all or a part is left out because a manifest cannot take it. Empty for most. */
  readonly dropped: readonly string[];
}

/**
 * The fields of an object, as if it were uploaded with what its service says of it. S3 keeps no `CDN-Cache-Control`, so user metadata of this name stands for it. What a
 * manifest cannot take is left out: visitors are better served without a field than without the object.
 * @throws {S3Error} `InvalidArgument` for regions that cannot be read: left out, they would be all
 */
export function sourceFields(key: string, said: Fields, tagPairs: readonly TagPair[]): SourceFields {
  const dropped = new Set<string>();
  const taken = new Map<string, string>();
  let metaCount = 0;
  for (const [header, value] of headersOf(said)) {
    const isMeta = header.startsWith(META_PREFIX) && header !== REGIONS_HEADER;
    if (header === NOT_IN_MANIFESTS || (isMeta && metaCount === LIST_MAX_ITEMS)) dropped.add(header);
    else if (header === REGIONS_HEADER || !isRefused(() => uploadFields(key, { [header]: value }))) {
      taken.set(header, value);
      if (isMeta) metaCount += 1;
    } else dropped.add(header);
  }
  // fromEntries defines own properties, so a header called `__proto__` is only a name.
  const fields = uploadFields(key, Object.fromEntries(taken));
  const named = namesIn(fieldOf(said, TAGS_HEADER));
  const candidates = [
    ...named.map((name) => () => uploadFields(key, { [TAGS_HEADER]: name }).tags),
    ...tagPairs.map((pair) => () => tagsOf([pair])),
  ];
  const tags = new Set<string>();
  for (const tagsOfOne of candidates) {
    if (tags.size === LIST_MAX_ITEMS || isRefused(() => tagsOfOne().map((tag) => tags.add(tag)))) dropped.add(TAGS_HEADER);
  }
  return { fields: { ...fields, tags: [...tags] }, dropped: [...dropped] };
}

/** What of an answer describes the content, but for its tags. */
function headersOf(said: Fields): [header: string, value: string][] {
  const headers: [string, string][] = [];
  for (const name of Object.keys(said)) {
    const value = fieldOf(said, name);
    if (value === undefined || name === TAGS_HEADER) continue;
    if (name === 'content-type' && value === NO_TYPE) continue;
    if (name === META_PREFIX + EDGES_HEADER) {
      if (fieldOf(said, EDGES_HEADER) === undefined) headers.push([EDGES_HEADER, value]);
    } else if (!name.startsWith('x-amz-tagging')) headers.push([name, value]);
  }
  return headers;
}

function namesIn(list: string | undefined): string[] {
  return (list ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function isRefused(attempt: () => void): boolean {
  try {
    attempt();
    return false;
  } catch (error) {
    if (error instanceof S3Error) return true;
    throw error;
  }
}
