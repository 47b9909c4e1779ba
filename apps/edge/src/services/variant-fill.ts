/** Brings the variants of objects, behind everything else: an object is confirmed and served without them. */
import type { BlobStore } from '@sluice/blobs';
import type { Manifest } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import PQueue from 'p-queue';
import type { CatalogIndex } from '../adapters/catalog-index.ts';
import { type Content, contentsOf } from '../domain/content-coding.ts';
import { freshnessPolicy } from '../domain/freshness.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { SharedMemory } from './shared-memory.ts';
import type { Transfers } from './transfers.ts';

/** Variants brought at once; few, so that what visitors wait for goes first. */
const CONCURRENCY = 2;
/** Variants that may wait. What is more is brought after the next catch-up, or when it is asked for again. */
export const WAITING_VARIANTS_MAX = 1_000;
/** After one could not be brought, how long none is tried. */
const REST_MS = 5_000;

export interface VariantFillParts {
  readonly index: CatalogIndex;
  readonly blobs: BlobStore;
  readonly memory: Pick<SharedMemory, 'forget'>;
  readonly budget: DiskBudget;
  readonly transfers: Transfers;
  readonly clock: Clock;
  readonly log: Logger;
}

export class VariantFill {
  readonly #parts: VariantFillParts;
  readonly #queue = new PQueue({ concurrency: CONCURRENCY });
  /** Checksums that wait or are being brought. */
  readonly #wanted = new Set<string>();
  #restUntilMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(parts: VariantFillParts) {
    this.#parts = parts;
  }

  /** Variants that wait or are being brought. */
  get pending(): number {
    return this.#wanted.size;
  }

  /** An object is here whose variants may not be: brings those that fit without pushing out what visitors use. */
  offer(manifest: Manifest): void {
    if (manifest.variants === undefined || !freshnessPolicy(manifest).storable) return;
    const [, ...variants] = contentsOf(manifest);
    for (const variant of variants) if (this.#parts.budget.hasRoomToRefill(variant.size)) this.bring(variant);
  }

  /** A visitor was served something else in the place of this variant: the next one is to get it. */
  bring(variant: Content): void {
    const { clock } = this.#parts;
    const isRefused = this.#stopped || this.#wanted.size >= WAITING_VARIANTS_MAX || clock.monotonicMs() < this.#restUntilMs;
    if (isRefused || this.#wanted.has(variant.sha256)) return;
    this.#wanted.add(variant.sha256);
    void this.#queue.add(() => this.#bring(variant)).finally(() => this.#wanted.delete(variant.sha256));
  }

  async #bring(variant: Content): Promise<void> {
    const { index, blobs, memory, transfers, clock, log } = this.#parts;
    try {
      if (this.#stopped || !index.needs(variant.sha256) || !this.#fitsBesideItsContent(variant)) return;
      await transfers.ensure(variant, { bases: [] });
      // Purged, or overtaken by another version, while it came.
      if (index.needs(variant.sha256)) return;
      blobs.delete(variant.sha256);
      memory.forget(variant.sha256);
    } catch (err) {
      this.#restUntilMs = clock.monotonicMs() + REST_MS;
      log.debug({ key: variant.key, err }, 'a variant could not be brought');
    }
  }

  /** Without its content a variant is not served: were that to make way for it, each would push out the other for ever. */
  #fitsBesideItsContent({ key, size }: Content): boolean {
    const { index, budget } = this.#parts;
    return (index.get(key)?.manifest?.size ?? 0) + size <= budget.capacityBytes;
  }

  stop(): void {
    this.#stopped = true;
  }
}
