import type { BlobStore, Verdict } from './blob-store.ts';

export interface SecondLookOptions {
  readonly store: Pick<BlobStore, 'verify'>;
  /** The blob is not what its name says. Awaited. */
  readonly onDamaged: (sha256: string, verdict: Verdict & { kind: 'damaged' }) => Promise<void> | void;
  /** It could not be read again, or `onDamaged` failed. */
  readonly onFailed: (sha256: string, error: unknown) => void;
}

/** Reads a blob again that somebody could not read, or of which somebody has read other bytes: once for all who look at the same time. */
export class SecondLook {
  readonly #options: SecondLookOptions;
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(options: SecondLookOptions) {
    this.#options = options;
  }

  /** Resolves when that is done which follows from it. Never rejects. */
  at(sha256: string): Promise<void> {
    let looking = this.#underWay.get(sha256);
    if (looking === undefined) {
      looking = this.#look(sha256).finally(() => this.#underWay.delete(sha256));
      this.#underWay.set(sha256, looking);
    }
    return looking;
  }

  async #look(sha256: string): Promise<void> {
    const { store, onDamaged, onFailed } = this.#options;
    try {
      const verdict = await store.verify(sha256);
      if (verdict.kind === 'damaged') await onDamaged(sha256, verdict);
    } catch (error) {
      onFailed(sha256, error);
    }
  }
}
