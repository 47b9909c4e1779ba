/** ListObjectVersions: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html */
import { nameEncoder, pageLimit } from '../../domain/list-query.ts';
import { S3Error } from '../../domain/s3-error.ts';
import { versionAsked } from '../../domain/version-id.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { ListedVersion } from '../catalog/version-listing.ts';
import type { Exchange } from './exchange.ts';
import { requireBucket } from './missing.ts';
import { OWNER } from './owner.ts';
import type { XmlParent } from './xml-document.ts';

export function listVersions(exchange: Exchange, bucket: string, query: URLSearchParams, catalog: Catalog): void {
  requireBucket(catalog, bucket);
  const encode = nameEncoder(query);
  const delimiter = query.get('delimiter') || undefined;
  const prefix = query.get('prefix') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  const versionMarker = versionAsked(query.get('version-id-marker') || undefined);
  if (versionMarker !== undefined && keyMarker === '') throw new S3Error('InvalidArgument', 'version-id-marker: goes with a key-marker');
  const marker = keyMarker === '' ? undefined : { key: keyMarker, version: versionMarker };
  const maxKeys = pageLimit(query, 'max-keys');
  const { entries, truncated } = catalog.versionListing.page({ bucket, prefix, delimiter }, marker, maxKeys);
  const last = truncated ? entries.at(-1) : undefined;
  const elements = (isWanted: (version: ListedVersion) => boolean, describe: (version: ListedVersion) => XmlParent): XmlParent[] =>
    entries.flatMap((entry) => (entry.kind === 'version' && isWanted(entry) ? [describe(entry)] : []));
  const common = ({ key, version, isLatest, uploadedAt }: ListedVersion): XmlParent => ({
    Key: encode(key),
    VersionId: version,
    IsLatest: isLatest,
    LastModified: uploadedAt ?? new Date(Math.floor(version / 1000)).toISOString(),
    Owner: OWNER,
  });
  exchange.answerXml('ListVersionsResult', {
    Name: bucket,
    Prefix: encode(prefix),
    KeyMarker: encode(keyMarker),
    VersionIdMarker: versionMarker ?? '',
    NextKeyMarker: last === undefined ? undefined : encode(last.kind === 'prefix' ? last.prefix : last.key),
    NextVersionIdMarker: last?.kind === 'version' ? last.version : undefined,
    MaxKeys: maxKeys,
    Delimiter: delimiter === undefined ? undefined : encode(delimiter),
    EncodingType: query.get('encoding-type') ?? undefined,
    IsTruncated: truncated,
    Version: elements(
      ({ etag }) => etag !== null,
      (version) => ({ ...common(version), ETag: `"${version.etag}"`, Size: version.size ?? 0, StorageClass: 'STANDARD' }),
    ),
    DeleteMarker: elements(({ etag }) => etag === null, common),
    CommonPrefixes: entries.flatMap((entry) => (entry.kind === 'prefix' ? [{ Prefix: encode(entry.prefix) }] : [])),
  });
}
