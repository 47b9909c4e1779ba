/** The large blobs that can be read while they come, as a serving thread knows them. As many as may be brought at the same time. */
import { GrowingReader, Growth } from '@sluice/blobs';
import type { Fill } from './serving-messages.ts';

interface Known {
  readonly fill: Fill;
  readonly growth: Growth;
  /** Resolves when the replica says that it is in the store, or will not be. */
  readonly ended: Promise<void>;
  readonly end: () => void;
}

export class ReadableFills {
  readonly #fills = new Map<string, Known>();

  add(fill: Fill): void {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#fills.set(fill.sha256, { fill, growth: new Growth(fill.growth), ended, end });
  }
  delete(sha256: string): void {
    this.#fills.get(sha256)?.end();
    this.#fills.delete(sha256);
  }

  /** Whether a blob is coming. */
  has(sha256: string): boolean {
    return this.#fills.get(sha256)?.growth.hasFailed === false;
  }

  /** Undefined when it does not come now: it is here already, or is not. */
  async open(sha256: string): Promise<GrowingReader | undefined> {
    const known = this.#fills.get(sha256);
    if (known === undefined || known.growth.hasFailed) return undefined;
    const reader = await openFill(known.fill);
    // Its file has its last place, and the store does not say so yet.
    if (reader === undefined) await known.ended;
    return reader;
  }
}

export async function openFill({ path, sha256, sizeBytes, growth }: Fill): Promise<GrowingReader | undefined> {
  return GrowingReader.open(path, { sha256, size: sizeBytes }, new Growth(growth));
}
