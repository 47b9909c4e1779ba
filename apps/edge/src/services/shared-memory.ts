/** The shared part of the memory tier: keeps its order and its bound, and tells all serving threads what comes and goes. */
import { ITEM_OVERHEAD_BYTES, MainQueue, SMALL_SHARE } from '../domain/s3-fifo.ts';
import type { MemoryChange } from './memory-tier.ts';
import type { SharedBlob } from './sharing.ts';

export class SharedMemory {
  readonly #queue: MainQueue;
  readonly #bytes = new Map<string, Uint8Array>();
  readonly #isHeld: (sha256: string) => boolean;
  readonly #publish: (changes: readonly MemoryChange[]) => void;
  /** For all threads: uses by slot. */
  readonly uses: Uint8Array<SharedArrayBuffer>;
  /** For all threads: 1 in its first word when there is no room left without letting something go. */
  readonly full = new Int32Array(new SharedArrayBuffer(4));
  /** For what is on trial, in all threads together. */
  readonly trialBytes: number;

  /** `isHeld`: whether bytes are still on the disk; what is not is not taken. */
  constructor(maxBytes: number, isHeld: (sha256: string) => boolean, publish: (changes: readonly MemoryChange[]) => void) {
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

  /** Takes over what has proved itself in a thread. */
  take(blobs: readonly SharedBlob[]): void {
    this.#publish(blobs.flatMap((blob) => this.#taken(blob)));
  }

  #taken({ sha256, bytes }: SharedBlob): MemoryChange[] {
    const known = this.#bytes.get(sha256);
    const slot = this.#queue.slotOf(sha256);
    // Two threads at the same time: the second one is told of the first one's.
    if (known !== undefined && slot !== undefined) return [{ kind: 'added', sha256, bytes: known, slot }];
    const added = this.#isHeld(sha256) ? this.#queue.add(sha256, bytes.byteLength) : undefined;
    if (added === undefined) return [{ kind: 'dropped', sha256: [sha256] }];
    this.#bytes.set(sha256, bytes);
    const now: MemoryChange = { kind: 'added', sha256, bytes, slot: added.slot };
    if (added.evicted.length === 0) return [now];
    Atomics.store(this.full, 0, 1);
    return [now, this.#dropped(added.evicted)];
  }

  /** The bytes are not to be served any more. */
  forget(sha256: string): void {
    if (this.#queue.delete(sha256)) Atomics.store(this.full, 0, 0);
    this.#publish([this.#dropped([sha256])]);
  }

  /** All that is shared now, for a thread that begins. */
  current(): MemoryChange[] {
    return [...this.#bytes].map(([sha256, bytes]) => ({ kind: 'added', sha256, bytes, slot: this.#queue.slotOf(sha256) as number }));
  }

  #dropped(sha256: readonly string[]): MemoryChange {
    for (const name of sha256) this.#bytes.delete(name);
    return { kind: 'dropped', sha256 };
  }
}
