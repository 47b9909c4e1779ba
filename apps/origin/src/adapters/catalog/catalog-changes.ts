/**
 * Makes changes of the catalog true. Invariant: a change, what it replaces and the event that tells of it are committed together or not at all.
 */
import { CONTENT_UPLOADED, encode, type Manifest, uploadedVersion } from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';
import { bucketOf } from '../../domain/bucket-name.ts';
import {
  type Announced,
  type CatalogChange,
  eventOf,
  type ObjectChange,
  type RemovalChange,
  type RequestOrigin,
  type StoredBody,
  type StoredObject,
  storing,
} from '../../domain/catalog-change.ts';
import { wantsVariants } from '../../domain/content-coding.ts';
import type { UploadFields } from '../../domain/upload-headers.ts';
import type { ChangeOrder } from '../../services/change-order.ts';
import type { CatalogCore } from './catalog-core.ts';
import type { Tombstone } from './object-table.ts';
import type { UploadDetails } from './upload-details.ts';

export interface CatalogChangesOptions {
  /** Where the changes get their places when other origins have the same catalog; absent: in its transactions. */
  readonly order?: ChangeOrder;
  readonly clock: Clock;
  /** Versions of a key that are kept, with the one it has now; at least 1. */
  readonly versionsKept?: (key: string) => number;
  /** Called when an event was put into the outbox. */
  readonly onEvent?: () => void;
}

/** What a key was before a change. */
interface KeyBefore {
  readonly current: StoredObject | undefined;
  readonly tombstone: Tombstone | undefined;
}

interface ApplyOptions {
  /** What the key was, where that was just looked up. */
  readonly before?: KeyBefore;
  readonly details?: UploadDetails | undefined;
  /** Whether its event is sent; so it is when nothing is said. */
  readonly announce?: boolean;
}

export class CatalogChanges {
  readonly #core: CatalogCore;
  readonly #options: CatalogChangesOptions;

  constructor(core: CatalogCore, options: CatalogChangesOptions) {
    this.#core = core;
    this.#options = options;
  }

  /** Whether other origins have the same catalog. */
  get isShared(): boolean {
    return this.#options.order !== undefined;
  }

  /** Runs a change that comes to an event, unless it comes to nothing, inside the next transaction. */
  async announcing<Result extends Announced | 'current' | undefined>(change: () => Result): Promise<Result> {
    const result = await this.#core.write(change);
    if (typeof result === 'object') this.tellOfEvent();
    return result;
  }

  /** Makes true what `decide` says, for a change that others of a shared catalog have to get in the same order. */
  async ordered(decide: () => CatalogChange | undefined): Promise<Announced | undefined> {
    const { order } = this.#options;
    if (order !== undefined) {
      const placed = await order.place(decide);
      return placed && { eventId: placed.stamp.eventId, version: placed.stamp.version };
    }
    return this.announcing(() => {
      const change = decide();
      return change && this.apply(change);
    });
  }

  /** An event was committed. */
  tellOfEvent(): void {
    this.#options.onEvent?.();
  }

  /** Inside a transaction: makes a change true, and announces it. */
  apply(change: CatalogChange, { before, details, announce = true }: ApplyOptions = {}): Announced {
    const { outbox, objects, requests } = this.#core;
    const { version, eventId, atMs, cause } = change.stamp;
    this.#core.pass(version);
    if (cause !== undefined) requests.claim(eventId);
    switch (change.kind) {
      case 'object':
        this.#applyObject(change, before ?? this.lookUp(change.manifest.key), details);
        break;
      case 'removal':
        this.#applyRemoval(change);
        break;
      case 'invalidation':
        objects.invalidate(version, change.selector, change.mode);
    }
    if (announce) {
      const { subject, payload } = eventOf(change);
      outbox.add(eventId, subject, payload, atMs);
    }
    return { eventId, version };
  }

  /** Inside a transaction: makes `body` the content of `key` in the place of `current`, and announces it. */
  store(
    key: string,
    fields: UploadFields,
    body: StoredBody,
    current: StoredObject | undefined,
    details?: UploadDetails,
  ): Announced & { manifest: Manifest } {
    const tombstone = current === undefined ? this.#core.objects.tombstone(key) : undefined;
    const stamp = this.#core.stamp();
    const uploadedAt = new Date(stamp.atMs).toISOString();
    const variants = this.variantsFor(fields, body);
    const change = storing({ key, fields, body, variants, uploadedAt }, { current, everBefore: tombstone?.ever }, stamp);
    return { ...this.apply(change, { before: { current, tombstone }, details }), manifest: change.manifest };
  }

  /** Inside a transaction: announces what is there already once more. */
  announceUpload(manifest: Manifest, { eventId, cause }: RequestOrigin): Announced {
    const { key, version } = manifest;
    const atMs = this.#options.clock.nowMs();
    const message = { id: eventId, key, version, manifest, cause, at: new Date(atMs).toISOString() };
    this.#core.outbox.add(eventId, CONTENT_UPLOADED.subject, encode(CONTENT_UPLOADED.subject, CONTENT_UPLOADED.message, message), atMs);
    return { eventId, version };
  }

  lookUp(key: string): KeyBefore {
    const { objects } = this.#core;
    const current = objects.find(key);
    return { current, tombstone: current === undefined ? objects.tombstone(key) : undefined };
  }

  /** The variants that a content has already, where it is to have any. */
  variantsFor(fields: UploadFields, { sha256, size }: StoredBody): NonNullable<Manifest['variants']> {
    return wantsVariants(fields, size) ? (this.#core.variants.of(sha256) ?? []) : [];
  }

  #applyObject(change: ObjectChange, { current, tombstone }: KeyBefore, details: UploadDetails | undefined): void {
    const { objects, sourced, buckets, variants, history } = this.#core;
    const { manifest, stamp } = change;
    const { key, sha256, size } = manifest;
    const isSameUpload = current !== undefined && uploadedVersion(current.manifest) === uploadedVersion(manifest);
    if (change.source !== undefined) sourced.remember(key, change.source, { sha256, size, etag: change.etag });
    if (isSameUpload) {
      objects.put(change);
      return;
    }
    const isNewBucket = buckets.create(bucketOf(key), new Date(stamp.atMs).toISOString(), stamp.version - 1);
    if (this.#lacksVariants(manifest)) {
      variants.await(key);
      this.#core.wantVariants();
    } else if (current !== undefined) variants.settleKey(key); // what it waited for is overtaken
    objects.put(change);
    // What it was told with goes into the history with it.
    if (current !== undefined) this.#supersede(current);
    this.#core.details.set(key, details);
    // What was removed from a bucket that was deleted is no version of a key in the new one.
    if (tombstone?.isListed && !isNewBucket) history.addRemoval(key, tombstone.version);
    // A key that is new was nothing before.
    if (current !== undefined || tombstone !== undefined) this.#trimHistory(key);
  }

  /**
   * Whether somebody has to make variants of a content, or to tell of those that there are: where others give the place of a change, they may have been made between the decision, which
   * did not know of them, and now.
   */
  #lacksVariants(manifest: Manifest): boolean {
    if (!wantsVariants(manifest, manifest.size)) return false;
    const made = this.#core.variants.of(manifest.sha256);
    return made === undefined || (made.length > 0 && manifest.variants === undefined);
  }

  #applyRemoval({ key, stamp, ever, isListed = true }: RemovalChange): void {
    const { objects, sourced, details, variants } = this.#core;
    const current = objects.find(key);
    variants.settleKey(key);
    objects.bury(key, { version: stamp.version, ever, isListed });
    sourced.forget(key);
    if (current !== undefined) this.#supersede(current);
    details.set(key);
    this.#trimHistory(key);
  }

  /** After an object made way for another upload or for its removal; before the details of what is there instead are set. */
  #supersede(replaced: StoredObject): void {
    const { history, details } = this.#core;
    history.addUpload(uploadedVersion(replaced.manifest), { ...replaced, details: details.of(replaced.manifest.key) });
    this.#release(replaced);
  }

  #trimHistory(key: string): void {
    const kept = this.#options.versionsKept?.(key) ?? 1;
    this.#core.release(this.#core.history.trim(key, kept - 1));
  }

  /** After `replaced` made way: its patch, its predecessor, itself and their variants may be garbage. */
  #release({ manifest, previous }: StoredObject): void {
    const { references, variants } = this.#core;
    this.#core.release([manifest.sha256, ...references.releasePair(manifest.sha256, previous?.sha256 ?? null)]);
    this.#core.release(variants.release(manifest.sha256));
    if (previous !== undefined) this.#core.release([previous.sha256, ...variants.release(previous.sha256)]);
  }
}
