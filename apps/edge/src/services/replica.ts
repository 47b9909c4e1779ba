/** Carries out what the controller pushes and what a resolve brought: bytes first, then the index, then the answer. */
import type { BlobStore } from '@sluice/blobs';
import {
  type Manifest,
  type PushCommand,
  type PushReply,
  type RemoveCommand,
  type StoreCommand,
  selectorOf,
  type TransferKind,
} from '@sluice/contracts';
import type { CatalogIndex, IndexChange, IndexEffect } from '../adapters/catalog-index.ts';
import { contentsOf } from '../domain/content-coding.ts';
import { type Entry, isPurged, isSameUpload, type Provenance } from '../domain/entry.ts';
import { freshnessPolicy } from '../domain/freshness.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { SharedMemory } from './shared-memory.ts';
import { type Sources, TooLargeError, type Transfer, type Transfers } from './transfers.ts';
import type { VariantFill } from './variant-fill.ts';

type PushOutcome = Exclude<PushReply, { ok: false }>;

/** What storing a manifest did. */
export interface Stored {
  readonly outcome: 'stored' | 'metadata' | 'current';
  readonly transfer: TransferKind | undefined;
  /** Content bytes that moved. */
  readonly bytes: number;
}

export interface Hints extends Sources {
  /** The controller takes it that the bytes are here. */
  readonly assumed?: boolean;
}

export class Replica {
  readonly #index: CatalogIndex;
  readonly #blobs: BlobStore;
  readonly #memory: Pick<SharedMemory, 'forget'>;
  readonly #budget: DiskBudget;
  readonly #transfers: Transfers;
  readonly #variants: Pick<VariantFill, 'offer'>;

  constructor(parts: {
    index: CatalogIndex;
    blobs: BlobStore;
    memory: Pick<SharedMemory, 'forget'>;
    budget: DiskBudget;
    transfers: Transfers;
    variants: Pick<VariantFill, 'offer'>;
  }) {
    this.#index = parts.index;
    this.#blobs = parts.blobs;
    this.#memory = parts.memory;
    this.#budget = parts.budget;
    this.#transfers = parts.transfers;
    this.#variants = parts.variants;
  }

  /** Carries out one pushed command. @throws {SluiceError} when it could not; nothing is half-done then */
  async carryOut(command: PushCommand): Promise<PushOutcome> {
    switch (command.op) {
      case 'store':
        return this.#storePushed(command);
      case 'remove':
        return this.#remove(command);
      case 'invalidate':
        await this.#apply({
          op: 'invalidate',
          invalidation: { selector: selectorOf(command), version: command.version, mode: command.mode },
        });
        return { ok: true, outcome: 'invalidated', bytes: 0 };
    }
  }

  async #storePushed({ manifest, transfer }: StoreCommand): Promise<PushOutcome> {
    const sources = {
      bases: transfer.kind === 'delta' ? [transfer.base] : [],
      content: transfer.kind === 'full' ? transfer.content : undefined,
      assumed: transfer.kind === 'same',
    };
    const stored = await this.store(manifest, { kind: 'announced' }, sources);
    return {
      ok: true,
      outcome: stored.outcome,
      bytes: stored.bytes,
      ...(stored.transfer === undefined ? {} : { transfer: stored.transfer }),
    };
  }

  /**
   * Makes this edge hold a version: its bytes (as far as they fit and may be kept), then its manifest. A version older than the one known is `current`,
   * and so is the one known when its bytes are here.
   */
  async store(manifest: Manifest, provenance: Provenance, hinted: Hints): Promise<Stored> {
    const known = this.#index.get(manifest.key);
    if (known !== undefined && known.version > manifest.version) return { outcome: 'current', transfer: undefined, bytes: 0 };
    const bases = [...new Set([...(known?.manifest === undefined ? [] : [known.manifest.sha256]), ...hinted.bases])];
    const brings = freshnessPolicy(manifest).storable && !(hinted.assumed === true && this.#wasLetGo(known, manifest));
    const transfer = brings ? await this.#bring(manifest, { bases, content: hinted.content }) : undefined;
    const effect = await this.#apply({ op: 'store', manifest, provenance });
    if (transfer === undefined) return { outcome: 'metadata', transfer: undefined, bytes: 0 };
    // Purged, or overtaken by another version, while they came.
    if (!this.#index.needs(manifest.sha256)) this.#drop(manifest.sha256);
    this.#variants.offer(manifest);
    if (transfer.kind === 'same' && effect.after !== undefined) this.#budget.promote(manifest.sha256, manifest.size);
    const changed = effect.after !== undefined || transfer.bytes > 0;
    return { outcome: changed ? 'stored' : 'current', transfer: transfer.kind, bytes: transfer.bytes };
  }

  /** Makes this edge know a version whose bytes are still coming. */
  async learn(manifest: Manifest, provenance: Provenance): Promise<void> {
    await this.#apply({ op: 'store', manifest, provenance });
  }

  /** Content that was evicted, or purged, is not brought back only because the origin has more to say about it. What a refill would bring has not come yet. */
  #wasLetGo(known: Entry | undefined, manifest: Manifest): boolean {
    if (known === undefined || known.version === manifest.version) return false;
    if (!isSameUpload(known.manifest, manifest) || this.#blobs.has(manifest.sha256)) return false;
    return isPurged(known) || !this.#budget.hasRoomToRefill(manifest.size);
  }

  /** Undefined when the bytes do not fit. */
  async #bring(manifest: Manifest, sources: Sources): Promise<Transfer | undefined> {
    try {
      return await this.#transfers.ensure(manifest, sources);
    } catch (error) {
      if (error instanceof TooLargeError) return undefined;
      throw error;
    }
  }

  async #remove({ key, version, reason }: RemoveCommand): Promise<PushOutcome> {
    const effect = await this.#apply({ op: 'remove', key, version, reason });
    return { ok: true, outcome: effect.after === undefined ? 'current' : 'removed', bytes: 0 };
  }

  async #apply(change: IndexChange): Promise<IndexEffect> {
    const effect = await this.#index.apply(change);
    this.settle(effect);
    return effect;
  }

  #replace(old: Manifest | undefined, by: Manifest | undefined): void {
    if (old === undefined) return;
    const kept = new Set(by === undefined ? [] : contentsOf(by).map(({ sha256 }) => sha256));
    this.letGo(contentsOf(old).flatMap(({ sha256 }) => (kept.has(sha256) ? [] : [sha256])));
  }

  /** What follows from a listing that did not name these entries: their bytes go first. */
  letGo(checksums: readonly string[]): void {
    for (const sha256 of checksums) if (!this.#index.needs(sha256)) this.#budget.demote(sha256);
  }

  /** What follows from a change to the index: bytes let go that no entry needs, those of purged entries and those that may not be kept deleted. */
  settle({ before, after, purged }: IndexEffect): void {
    if (after !== undefined) this.#replace(before?.manifest, after.manifest);
    if (after?.manifest !== undefined) for (const { sha256 } of contentsOf(after.manifest)) this.#budget.needed(sha256);
    const unkept = after?.manifest === undefined || freshnessPolicy(after.manifest).storable ? [] : contentsOf(after.manifest);
    for (const sha256 of [...purged, ...unkept.map((content) => content.sha256)]) {
      if (!this.#index.needs(sha256)) this.#drop(sha256);
    }
  }

  #drop(sha256: string): void {
    this.#blobs.delete(sha256);
    this.#memory.forget(sha256);
  }
}
