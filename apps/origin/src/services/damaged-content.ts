/** Blobs that the origin's disk has damaged: repaired where their bytes can be had once more, else kept from everybody and reported until they are uploaded again. */
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, zstdDecompress } from 'node:zlib';
import { type BlobStore, SecondLook, type Verdict } from '@sluice/blobs';
import type { Variant } from '@sluice/contracts';
import type { Logger } from '@sluice/runtime';

/** Keys named in a log line. */
const NAMED_KEYS = 10;

const DECODERS: Readonly<Record<string, (coded: Uint8Array, options: { maxOutputLength: number }) => Promise<Uint8Array>>> = {
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
  gzip: promisify(gunzip),
};

export type Repair = 'repaired' | 'dropped' | 'unrepairable';
type Damaged = Verdict & { kind: 'damaged' };

export interface DamagedContentParts {
  readonly store: Pick<BlobStore, 'verify' | 'delete' | 'put' | 'readAll' | 'markDamaged' | 'unmarkDamaged' | 'damaged'>;
  /** Whether the store only has what is at a source too, or can be made again. */
  readonly isCache: boolean;
  readonly references: {
    isUploaded(sha256: string): boolean;
    keysOf(sha256: string, limit: number): string[];
  };
  readonly variants: {
    /** Of a content; undefined: none were made. */
    of(content: string): Variant[] | undefined;
    /** The content of a variant; undefined: it is none. */
    contentOf(variant: string): string | undefined;
    /** Makes a variant again that is not in the store, or damaged there. Whether it is there now. */
    remake(variant: string): Promise<boolean>;
  };
  /** What was read of a blob a moment ago is not to be used any more. */
  readonly forgetRanges: (sha256: string) => void;
  readonly onOutcome: (outcome: Repair) => void;
  readonly log: Logger;
}

export class DamagedContent {
  readonly #parts: DamagedContentParts;
  readonly #secondLook: SecondLook;

  constructor(parts: DamagedContentParts) {
    this.#parts = parts;
    this.#secondLook = new SecondLook({
      store: parts.store,
      onDamaged: (sha256, verdict) => this.repair(sha256, verdict),
      onFailed: (sha256, err) => parts.log.warn({ sha256, err }, 'a blob could not be read again'),
    });
  }

  /** For `/readyz`: undefined when all is well. */
  get problem(): string | undefined {
    const { size } = this.#parts.store.damaged;
    if (size === 0) return undefined;
    return `${size} ${size === 1 ? 'blob is' : 'blobs are'} damaged on this disk and cannot be repaired; the log names the keys: upload them again, or restore blobs/ from a backup`;
  }

  /** Somebody has read other bytes than those of a blob. Never rejects. */
  look(sha256: string): Promise<void> {
    return this.#secondLook.at(sha256);
  }

  /** It was read again, and is right: perhaps the disk only could not be read, or somebody has restored it. */
  right(sha256: string): void {
    const { store, log } = this.#parts;
    if (!store.damaged.has(sha256)) return;
    store.unmarkDamaged(sha256);
    log.info({ sha256 }, 'a blob that was damaged is right again');
  }

  async repair(sha256: string, { size, unreadable }: Damaged): Promise<void> {
    const { store, references, forgetRanges, onOutcome, log } = this.#parts;
    const wasKnown = store.damaged.has(sha256);
    forgetRanges(sha256);
    const outcome = await this.#repaired(sha256, size);
    if (outcome === 'unrepairable' && wasKnown) return;
    onOutcome(outcome);
    const about = { sha256, size, keys: references.keysOf(sha256, NAMED_KEYS), outcome, err: unreadable };
    if (outcome === 'unrepairable') log.error(about, 'a blob is damaged on this disk and cannot be repaired: upload it again');
    else log.warn(about, 'a blob was damaged on this disk');
  }

  async #repaired(sha256: string, size: number): Promise<Repair> {
    const { store, isCache, references, variants, log } = this.#parts;
    if (!isCache) store.markDamaged(sha256);
    const content = isCache || references.isUploaded(sha256) ? undefined : variants.contentOf(sha256);
    if (content !== undefined) {
      await this.look(content);
      // It is made again when its content has been uploaded again.
      if (store.damaged.has(content)) return 'unrepairable';
      if (await variants.remake(sha256).catch(() => false)) return 'repaired';
    }
    if (isCache || !references.isUploaded(sha256)) {
      // A patch, or what one is made against, is missed by nobody; a variant that does not come out as it was is one coding less.
      store.delete(sha256);
      return 'dropped';
    }
    for (const { coding, sha256: variant } of variants.of(sha256) ?? []) {
      try {
        const content = await DECODERS[coding]?.(await store.readAll(variant), { maxOutputLength: size });
        if (content === undefined) continue;
        await store.put(content, sha256);
        return 'repaired';
      } catch (err) {
        log.info({ sha256, variant, err }, 'a damaged blob cannot be had from its variant');
      }
    }
    return 'unrepairable';
  }
}
