/** The contract of Sluice: every subject and message, and nothing that does I/O. */

export type { BlockDigests } from './block-digests.ts';
export {
  BLOCK_DIGESTS_MIN_BYTES,
  BLOCK_MAX_BYTES,
  BLOCK_MIN_BYTES,
  BLOCKS_MAX,
  blockBytesFor,
  blockDigest,
  decodeBlockDigests,
  encodeBlockDigests,
} from './block-digests.ts';
export type { CatalogEntry } from './catalog-log.ts';
export { catalogEntry } from './catalog-log.ts';
export { decode, describeIssues, encode } from './codec.ts';
export type {
  ContentDistributed,
  ContentInvalidated,
  ContentRejected,
  ContentRemoved,
  ContentUploaded,
  EdgeOutcome,
  TransferKind,
} from './content-events.ts';
export {
  contentDistributed,
  contentInvalidated,
  contentRejected,
  contentRemoved,
  contentUploaded,
  edgeOutcome,
  isConfirmed,
} from './content-events.ts';
export type { EdgeReport, RegisterReply } from './edge-presence.ts';
export { edgeReport, registerReply } from './edge-presence.ts';
export type { InvalidateCommand, PushCommand, PushReply, RemoveCommand, StoreCommand, TransferPlan } from './edge-push.ts';
export { pushCommand, pushReply } from './edge-push.ts';
export type { WireError } from './errors.ts';
export { errorFromWire, errorToWire, InvalidMessageError, SluiceError, wireError } from './errors.ts';
export type { Exchange } from './exchange.ts';
export type { Manifest, PreviousVersion, Variant } from './manifest.ts';
export { isPlacedIn, manifest, previousVersion, uploadedVersion, VARIANTS_MAX_ITEMS } from './manifest.ts';
export type { OriginReport } from './origin-presence.ts';
export { originReport } from './origin-presence.ts';
export type { Change, ChangesReply, ChangesRequest, FetchRequest, PatchOffer, ResolveReply } from './origin-requests.ts';
export { change, changesReply, changesRequest, fetchRequest, HAVE_MAX_ITEMS, patchOffer, resolveReply } from './origin-requests.ts';
export type { InvalidationMode, Selector } from './selector.ts';
export { describeSelector, invalidationMode, keyPrefix, selectorOf, selects, withSelector } from './selector.ts';
export type { Signature } from './signature.ts';
export { signature } from './signature.ts';
export type { EventSubject, RequestSubject } from './subjects.ts';
export {
  CATALOG_LOG,
  CONSUMERS,
  CONTENT_DISTRIBUTED,
  CONTENT_INVALIDATED,
  CONTENT_REJECTED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  controllerRegister,
  edgeHeartbeat,
  edgePush,
  INBOX_PREFIX,
  inboxOf,
  NONCE_HEADER,
  ORIGIN_CHANGES,
  ORIGIN_FETCH,
  originFetch,
  originHeartbeat,
  REPLY_KIND_HEADER,
  SIGNATURE_HEADER,
  STREAMS,
} from './subjects.ts';
export {
  byteCount,
  contentKey,
  edgeId,
  eventId,
  fieldValue,
  INLINE_CONTENT_MAX_BYTES,
  inlineContent,
  instant,
  isBucketName,
  KEY_MAX_BYTES,
  keyProblem,
  LIST_MAX_ITEMS,
  MESSAGE_MAX_BYTES,
  metaName,
  region,
  sha256,
  tag,
  version,
  versionOrZero,
} from './values.ts';
