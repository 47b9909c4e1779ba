/** The large blobs that can be read while they come, as a serving thread knows them. As many as may be brought at the same time. */
import { GrowingReader, Growth } from '@sluice/blobs';
import type { Fill } from './serving-messages.ts';

export class ReadableFills {
  readonly #fills = new Map<string, { readonly fill: Fill; readonly growth: Growth }>();

  add(fill: Fill): void {
    this.#fills.set(fill.sha256, { fill, growth: new Growth(fill.growth) });
  }
  delete(sha256: string): void {
    this.#fills.delete(sha256);
  }

  /** Whether a blob is coming. */
  has(sha256: string): boolean {
    return this.#fills.get(sha256)?.growth.hasFailed === false;
  }

  /** Undefined when it does not come now: it is here already, or is not. */
  async open(sha256: string): Promise<GrowingReader | undefined> {
    const fill = this.#fills.get(sha256)?.fill;
    return fill === undefined || !this.has(sha256) ? undefined : openFill(fill);
  }
}

export async function openFill({ path, sha256, sizeBytes, growth }: Fill): Promise<GrowingReader | undefined> {
  return GrowingReader.open(path, { sha256, size: sizeBytes }, new Growth(growth));
}
