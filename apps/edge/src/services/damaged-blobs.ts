/** Blobs that this edge's disk has damaged: dropped as soon as that is known, and brought again. */
import { type BlobStore, SecondLook, type Verdict } from '@sluice/blobs';
import type { Clock, Logger } from '@sluice/runtime';
import type { CatalogIndex } from '../adapters/catalog-index.ts';
import type { Transfers } from './transfers.ts';

/** What a visitor has met is brought by his own request; what he was already being sent, or did not wait for, is brought so much later. */
const LATER_MS = 1_000;
/** Blobs that are brought later; what is more comes with the next visitor or refill. */
export const LATER_MAX = 1_000;

type Damaged = Verdict & { kind: 'damaged' };

export interface DamagedBlobsParts {
  readonly blobs: Pick<BlobStore, 'verify' | 'delete'>;
  readonly index: Pick<CatalogIndex, 'contentNamed'>;
  readonly transfers: Pick<Transfers, 'ensure'>;
  readonly onDropped: (foundBy: 'scrub' | 'read') => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DamagedBlobs {
  readonly #parts: DamagedBlobsParts;
  readonly #secondLook: SecondLook;
  readonly #later = new Map<string, () => void>();

  constructor(parts: DamagedBlobsParts) {
    this.#parts = parts;
    this.#secondLook = new SecondLook({
      store: parts.blobs,
      onDamaged: (sha256, verdict) => this.#dropAndBringLater(sha256, verdict),
      onFailed: (sha256, err) => parts.log.warn({ sha256, err }, 'a blob could not be read again'),
    });
  }

  /** Blobs that are to be brought a little later. */
  get waiting(): number {
    return this.#later.size;
  }

  /** Somebody could not read a blob, or read other bytes. Resolves when it is dropped if that is so; a little later it is brought, if nobody has done so. Never rejects. */
  look(sha256: string): Promise<void> {
    return this.#secondLook.at(sha256);
  }

  #dropAndBringLater(sha256: string, verdict: Damaged): void {
    this.#drop(sha256, verdict, 'read');
    if (this.#later.size >= LATER_MAX || this.#later.has(sha256)) return;
    const cancel = this.#parts.clock.after(LATER_MS, () => {
      this.#later.delete(sha256);
      void this.#bring(sha256);
    });
    this.#later.set(sha256, cancel);
  }

  /** Drops a blob that scrubbing has found, in this turn. Resolves when it has been brought again, or that has failed: then the next visitor, or the next refill, has it brought. */
  async replace(sha256: string, verdict: Damaged): Promise<void> {
    this.#drop(sha256, verdict, 'scrub');
    await this.#bring(sha256);
  }

  /** What is in memory stays: it was verified when it came there, and may be all that is left while the origin is away. */
  #drop(sha256: string, { size, unreadable }: Damaged, foundBy: 'scrub' | 'read'): void {
    const { blobs, onDropped, log } = this.#parts;
    blobs.delete(sha256);
    onDropped(foundBy);
    log.warn({ sha256, size, foundBy, err: unreadable }, 'a blob was damaged on the disk and is dropped');
  }

  async #bring(sha256: string): Promise<void> {
    const { index, transfers, log } = this.#parts;
    const content = index.contentNamed(sha256);
    if (content === undefined) return;
    try {
      await transfers.ensure(content, { bases: [] });
      log.info({ sha256, key: content.key }, 'a damaged blob is here again');
    } catch (err) {
      log.warn({ sha256, key: content.key, err }, 'a damaged blob could not be brought again yet');
    }
  }

  stop(): void {
    for (const cancel of this.#later.values()) cancel();
    this.#later.clear();
  }
}
