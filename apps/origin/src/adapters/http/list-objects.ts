/**
 * ListObjects and ListObjectsV2: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html,
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 */
import { nameEncoder, pageLimit } from '../../domain/list-query.ts';
import { type ListedObject, type ListingScope, nameOf } from '../../domain/object-listing.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { ListingPage } from '../catalog/object-listing.ts';
import { readToken, writeToken } from './continuation-token.ts';
import type { Exchange } from './exchange.ts';
import { requireBucket } from './missing.ts';
import { OWNER } from './owner.ts';
import { WrittenXml, type XmlParent, xmlElement, xmlText } from './xml-document.ts';

type Encode = (text: string) => string;

const OWNER_XML = xmlElement('Owner', OWNER);

interface Listing extends ListingPage {
  readonly scope: ListingScope;
  readonly encode: Encode;
  /** What both versions answer with. */
  readonly common: XmlParent;
}

/** The first version: a page begins after `marker`. */
export function listObjects(exchange: Exchange, bucket: string, query: URLSearchParams, catalog: Catalog): void {
  const marker = query.get('marker') ?? '';
  const { entries, truncated, scope, encode, common } = list(bucket, query, marker, catalog, true);
  const last = entries.at(-1);
  exchange.answerXml('ListBucketResult', {
    Marker: encode(marker),
    // Without a delimiter it is the last key, which clients know from the page itself.
    NextMarker: truncated && scope.delimiter !== undefined && last !== undefined ? encode(nameOf(last)) : undefined,
    ...common,
  });
}

/** The second version: a page begins after `start-after`, or where a token says. */
export function listObjectsV2(exchange: Exchange, bucket: string, query: URLSearchParams, catalog: Catalog): void {
  const startAfter = query.get('start-after') ?? '';
  const token = query.get('continuation-token');
  // An empty token is none, as at S3.
  const after = token === null || token === '' ? startAfter : readToken(catalog.id, bucket, token);
  const { entries, truncated, encode, common } = list(bucket, query, after, catalog, query.get('fetch-owner') === 'true');
  const last = entries.at(-1);
  exchange.answerXml('ListBucketResult', {
    KeyCount: entries.length,
    StartAfter: startAfter === '' ? undefined : encode(startAfter),
    ContinuationToken: token ?? undefined,
    NextContinuationToken: truncated && last !== undefined ? writeToken(catalog.id, bucket, nameOf(last)) : undefined,
    ...common,
  });
}

function list(bucket: string, query: URLSearchParams, after: string, catalog: Catalog, withOwner: boolean): Listing {
  requireBucket(catalog, bucket);
  const encode = nameEncoder(query);
  const delimiter = query.get('delimiter') || undefined;
  const scope = { bucket, prefix: query.get('prefix') ?? '', delimiter };
  const maxKeys = pageLimit(query, 'max-keys');
  const page = catalog.listing.page(scope, after === '' ? undefined : after, maxKeys);
  const common = {
    Name: bucket,
    Prefix: encode(scope.prefix),
    MaxKeys: maxKeys,
    Delimiter: delimiter === undefined ? undefined : encode(delimiter),
    EncodingType: query.get('encoding-type') ?? undefined,
    IsTruncated: page.truncated,
    Contents: page.entries.flatMap((entry) => (entry.kind === 'object' ? [contentOf(entry.object, encode, withOwner)] : [])),
    CommonPrefixes: page.entries.flatMap((entry) => (entry.kind === 'prefix' ? [{ Prefix: encode(entry.prefix) }] : [])),
  };
  return { ...page, scope, encode, common };
}

/** A page has a thousand of these: what they have in common is not looked at for each. */
function contentOf({ key, size, etag, uploadedAt }: ListedObject, encode: Encode, withOwner: boolean): WrittenXml {
  return new WrittenXml(
    `<Key>${xmlText(encode(key))}</Key><LastModified>${uploadedAt}</LastModified><ETag>&quot;${etag}&quot;</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass>${withOwner ? OWNER_XML : ''}`,
  );
}
