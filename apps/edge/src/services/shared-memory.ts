/** The shared part of the memory tier: keeps its order and its bound, and tells all serving threads what comes and goes. */
import { ITEM_OVERHEAD_BYTES, MainQueue, SMALL_SHARE } from '../domain/s3-fifo.ts';
import type { MemoryChange } from './memory-tier.ts';

export class SharedMemory {
  readonly #queue: MainQueue;
  readonly #bytes = new Map<string, Uint8Array>();
  readonly #isHeld: (sha256: string) => boolean;
  readonly #publish: (change: MemoryChange) => void;
  /** For all threads: uses by slot. */
  readonly uses: Uint8Array<SharedArrayBuffer>;
  /** For all threads: 1 in its first word when there is no room left without letting something go. */
  readonly full = new Int32Array(new SharedArrayBuffer(4));
  /** For what is on trial, in all threads together. */
  readonly trialBytes: number;

  /** `isHeld`: whether bytes are still on the disk; what is not is not taken. */
  constructor(maxBytes: number, isHeld: (sha256: string) => boolean, publish: (change: MemoryChange) => void) {
    this.trialBytes = maxBytes * SMALL_SHARE;
    this.uses = new Uint8Array(new SharedArrayBuffer(Math.ceil(maxBytes / ITEM_OVERHEAD_BYTES)));
    this.#queue = new MainQueue(maxBytes - this.trialBytes, this.uses);
    this.#isHeld = isHeld;
    this.#publish = publish;
  }

  get sizeBytes(): number {
    return this.#queue.sizeBytes;
  }
  get count(): number {
    return this.#queue.count;
  }

  /** Takes bytes over that have proved themselves in a thread. */
  take(sha256: string, bytes: Uint8Array): void {
    const known = this.#bytes.get(sha256);
    const slot = this.#queue.slotOf(sha256);
    if (known !== undefined && slot !== undefined) {
      // Two threads at the same time: the second one is told of the first one's.
      this.#publish({ kind: 'added', sha256, bytes: known, slot });
      return;
    }
    const added = this.#isHeld(sha256) ? this.#queue.add(sha256, bytes.byteLength) : undefined;
    if (added === undefined) {
      this.#publish({ kind: 'dropped', sha256: [sha256] });
      return;
    }
    this.#bytes.set(sha256, bytes);
    if (added.evicted.length > 0) Atomics.store(this.full, 0, 1);
    this.#publish({ kind: 'added', sha256, bytes, slot: added.slot });
    if (added.evicted.length > 0) this.#drop(added.evicted);
  }

  /** The bytes are not to be served any more. */
  forget(sha256: string): void {
    if (this.#queue.delete(sha256)) Atomics.store(this.full, 0, 0);
    this.#drop([sha256]);
  }

  /** All that is shared now, for a thread that begins. */
  current(): MemoryChange[] {
    return [...this.#bytes].map(([sha256, bytes]) => ({ kind: 'added', sha256, bytes, slot: this.#queue.slotOf(sha256) as number }));
  }

  #drop(sha256: readonly string[]): void {
    for (const name of sha256) this.#bytes.delete(name);
    this.#publish({ kind: 'dropped', sha256 });
  }
}
