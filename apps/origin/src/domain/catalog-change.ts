/**
 * Changes of the catalog as values: what one makes of a key or of what a selector covers, with its version and the event that tells of it. Whoever applies the same changes in
 * the order of their versions has the same catalog.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  CONTENT_INVALIDATED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  encode,
  type InvalidationMode,
  type Manifest,
  type PreviousVersion,
  type Selector,
  uploadedVersion,
  type Variant,
} from '@sluice/contracts';
import { addPlacement, type EverRegions } from './placement.ts';
import type { SourceObject } from './source-object.ts';
import { type UploadFields, uploadFieldsOf } from './upload-headers.ts';

/** What a change gets when it is decided. */
export interface Stamp {
  readonly version: number;
  readonly eventId: string;
  /** The request that this answers, when one came as an event. */
  readonly cause?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** A committed change: the event that announces it. */
export interface Announced {
  readonly eventId: string;
  readonly version: number;
}

/** A request to announce something, from a message on the stream. The same `eventId` is answered once. */
export interface RequestOrigin {
  readonly eventId: string;
  /** The request's own id. */
  readonly cause: string;
}

/** What a key names in the catalog. */
export interface StoredObject {
  readonly manifest: Manifest;
  readonly previous: PreviousVersion | undefined;
  /** MD5 in hexadecimal; of a multipart upload, the MD5 of its parts' with `-` and their number behind; of an object that stands elsewhere, what it is called there. */
  readonly etag: string;
  readonly ever: EverRegions;
}

/** The state of an object at its source that a change has brought. */
export type SourceRevisions = Pick<SourceObject, 'revision' | 'bytesRevision'>;

export interface ObjectChange extends StoredObject {
  readonly kind: 'object';
  readonly stamp: Stamp;
  readonly source?: SourceRevisions | undefined;
}
export interface RemovalChange {
  readonly kind: 'removal';
  readonly stamp: Stamp;
  readonly key: string;
  readonly ever: EverRegions;
  /** Whether it counts as a version of the key; so it does when nothing is said. */
  readonly isListed?: boolean;
}
export interface InvalidationChange {
  readonly kind: 'invalidation';
  readonly stamp: Stamp;
  readonly selector: Selector;
  readonly mode: InvalidationMode;
}
export type CatalogChange = ObjectChange | RemovalChange | InvalidationChange;

/** What the log of a shared catalog says: a change, that everything at the source is in it up to here, or that removals and invalidations up to a version cannot be learned from it any more. */
export type LogFact = CatalogChange | { readonly kind: 'listed' } | { readonly kind: 'forgotten'; readonly version: number };

/** A body whose bytes are known. */
export interface StoredBody {
  readonly sha256: string;
  readonly size: number;
  /** As {@link StoredObject}'s. */
  readonly etag: string;
}

/** What is to become the content of a key. */
export interface NewContent {
  readonly key: string;
  readonly fields: UploadFields;
  readonly body: StoredBody;
  readonly variants: readonly Variant[];
  /** RFC 3339. */
  readonly uploadedAt: string;
  readonly source?: SourceRevisions | undefined;
}

/** A key as it is before a change. */
export interface Before {
  readonly current: StoredObject | undefined;
  /** Where it was before it was removed. */
  readonly everBefore?: EverRegions | undefined;
}

/** New content in the place of what was there. */
export function storing(content: NewContent, { current, everBefore }: Before, stamp: Stamp): ObjectChange {
  const { key, fields, body, variants, uploadedAt, source } = content;
  const { sha256, size, etag } = body;
  const manifest: Manifest = { ...fields, key, version: stamp.version, sha256, size, uploadedAt, ...naming(variants) };
  const ever = addPlacement(current?.ever ?? everBefore ?? [], fields.regions);
  const previous = current === undefined ? undefined : asPrevious(current.manifest);
  return { kind: 'object', stamp, manifest, previous, etag, ever, source };
}

/** The content that is there, with something else said about it: `previous` stays the content before, and the time of the upload stays too. */
export function announcing(
  current: StoredObject,
  change: Pick<Manifest, 'variants'> | Pick<Manifest, 'tags'>,
  stamp: Stamp,
  source?: SourceRevisions,
): ObjectChange {
  const { previous, etag, ever } = current;
  const manifest: Manifest = { ...current.manifest, ...change, version: stamp.version, contentVersion: uploadedVersion(current.manifest) };
  return { kind: 'object', stamp, manifest, previous, etag, ever, source };
}

export function removing(key: string, ever: EverRegions, stamp: Stamp, isListed = true): RemovalChange {
  return { kind: 'removal', stamp, key, ever, isListed };
}

/** The field of a manifest that names variants. */
export function naming(variants: readonly Variant[]): Pick<Manifest, 'variants'> {
  return variants.length === 0 ? {} : { variants: [...variants] };
}

function asPrevious({ version, sha256, size, regions }: Manifest): PreviousVersion {
  return { version, sha256, size, regions };
}

/** The event that tells of a change, ready to be sent. */
export function eventOf(change: CatalogChange): { readonly subject: string; readonly payload: Uint8Array } {
  const { version, eventId: id, cause, atMs } = change.stamp;
  const common = { id, version, ...(cause === undefined ? {} : { cause }), at: new Date(atMs).toISOString() };
  switch (change.kind) {
    case 'object': {
      const message = { ...common, key: change.manifest.key, manifest: change.manifest };
      return { subject: CONTENT_UPLOADED.subject, payload: encode(CONTENT_UPLOADED.subject, CONTENT_UPLOADED.message, message) };
    }
    case 'removal': {
      const message = { id, version, key: change.key, at: common.at };
      return { subject: CONTENT_REMOVED.subject, payload: encode(CONTENT_REMOVED.subject, CONTENT_REMOVED.message, message) };
    }
    case 'invalidation': {
      const message = { ...change.selector, ...common, mode: change.mode };
      return { subject: CONTENT_INVALIDATED.subject, payload: encode(CONTENT_INVALIDATED.subject, CONTENT_INVALIDATED.message, message) };
    }
  }
}

/** Whether content that was found says nothing that the catalog does not say already. */
export function isSameContent(current: StoredObject, fields: UploadFields, { sha256, size, etag }: StoredBody): boolean {
  const { manifest } = current;
  if (manifest.sha256 !== sha256 || manifest.size !== size || current.etag !== etag) return false;
  return isDeepStrictEqual(uploadFieldsOf(manifest), fields);
}
