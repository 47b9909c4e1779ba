import { uploadedVersion } from '@sluice/contracts';
import { type Announced, removing, type StoredObject } from '../../domain/catalog-change.ts';
import { uploadFieldsOf } from '../../domain/upload-headers.ts';
import type { CatalogChanges } from './catalog-changes.ts';
import type { CatalogCore } from './catalog-core.ts';
import type { PastUpload } from './history-table.ts';
import type { Tombstone } from './object-table.ts';

/** What keys were before, and how they become that again. */
export class ObjectVersions {
  readonly #core: CatalogCore;
  readonly #changes: CatalogChanges;

  constructor(core: CatalogCore, changes: CatalogChanges) {
    this.#core = core;
    this.#changes = changes;
  }

  /** What a key was in a version: the upload that had it. `version` undefined: what it is. */
  find(key: string, version: number | undefined): PastUpload | undefined {
    const { objects, details, history } = this.#core;
    const current = objects.find(key);
    const isCurrent = version === undefined || (current !== undefined && uploadedVersion(current.manifest) === version);
    return isCurrent ? current && { ...current, details: details.of(key) } : history.find(key, version);
  }

  /** Keys that begin with `prefix`, come after `after` and were something else before: those that can be rolled back. */
  keys(prefix: string, after = '', limit = 1_000): string[] {
    return this.#core.history.keys(prefix, after, limit);
  }

  /**
   * Makes an earlier upload of a key current again, as a new version with the bytes and fields of that one: the upload before the current one, or before the removal, or
   * with `to` the newest one up to that version. `current`: it is that already. Undefined: none is kept. `asItWas`: what was removed by `to` does not come back.
   */
  async rollBack(key: string, to?: number, asItWas = false): Promise<Announced | 'current' | undefined> {
    const { objects, history } = this.#core;
    return this.#changes.announcing(() => {
      const current = objects.find(key);
      const removedIn = asItWas ? objects.tombstone(key)?.version : undefined;
      const currentVersion = current === undefined ? removedIn : uploadedVersion(current.manifest);
      if (to !== undefined && currentVersion !== undefined && currentVersion <= to) return 'current';
      const past = history.newestUpTo(key, to ?? Number.MAX_SAFE_INTEGER);
      if (past === undefined) return undefined;
      if (asItWas && to !== undefined && history.wasRemoved(key, to)) return undefined;
      return this.#restore(key, past, current);
    });
  }

  /**
   * Removes one version for good. When it is the current one, upload or removal, what was before it is current again, as a new version: an upload, or a removal, with which the key
   * stays gone. With nothing before it the key is gone and has no versions. A version that is not there is as good as removed.
   */
  async remove(key: string, version: number): Promise<Announced | undefined> {
    const { objects, history } = this.#core;
    return this.#changes.announcing(() => {
      const released = history.delete(key, version);
      if (released !== undefined) {
        this.#core.release(released);
        return undefined;
      }
      const current = objects.find(key);
      const tombstone = objects.tombstone(key);
      const isCurrent =
        current === undefined ? tombstone?.isListed && tombstone.version === version : uploadedVersion(current.manifest) === version;
      if (!isCurrent) return undefined;
      const past = history.last(key);
      if (past === undefined && current === undefined) {
        objects.bury(key, { ...(tombstone as Tombstone), isListed: false });
        return undefined;
      }
      // First, so that what comes into the history for a moment pushes no older version out of it.
      if (past !== undefined) this.#core.release(history.delete(key, past.version) ?? []);
      const announced =
        past?.upload === undefined
          ? this.#changes.apply(removing(key, (current ?? (tombstone as Tombstone)).ever, this.#core.stamp(), past !== undefined))
          : this.#restore(key, past.upload, current);
      this.#core.release(history.delete(key, version) ?? []);
      return announced;
    });
  }

  /** Inside a transaction: makes an earlier upload current. */
  #restore(key: string, { manifest, etag, details }: PastUpload, current: StoredObject | undefined): Announced {
    const { sha256, size } = manifest;
    const { eventId, version } = this.#changes.store(key, uploadFieldsOf(manifest), { sha256, size, etag }, current, details);
    return { eventId, version };
  }
}
