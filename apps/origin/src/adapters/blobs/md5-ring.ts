/** Bytes on their way to the thread that hashes them, in shared memory: one side writes, the other reads. Neither makes a message or a buffer for a piece. */

/** A power of two, so that the counters may run over. Enough for both sides to work without waiting for each other at each piece. */
const RING_BYTES = 1024 * 1024;

/** Words of 32 bits: bytes written and bytes read, both without end, what the writer says, and its changes, for waiting. */
const WRITTEN = 0;
const READ = 1;
const STATE = 2;
const CHANGES = 3;
const WORDS = 4;

/** 0: it goes on. */
const COMPLETE = 1;
const ABANDONED = 2;

/** To be posted to the other thread. */
export interface RingMemory {
  readonly bytes: SharedArrayBuffer;
  readonly words: SharedArrayBuffer;
}

export class Md5Ring {
  readonly memory: RingMemory;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;

  constructor(
    memory: RingMemory = { bytes: new SharedArrayBuffer(RING_BYTES), words: new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT) },
  ) {
    this.memory = memory;
    this.#bytes = new Uint8Array(memory.bytes);
    this.#words = new Int32Array(memory.words);
  }

  /** The writer: takes as much of a piece as there is room for, and says how much that was. */
  write(piece: Uint8Array): number {
    const written = Atomics.load(this.#words, WRITTEN);
    const at = written & (RING_BYTES - 1);
    const free = RING_BYTES - ((written - Atomics.load(this.#words, READ)) | 0);
    const taken = Math.min(piece.byteLength, free, RING_BYTES - at);
    if (taken === 0) return 0;
    this.#bytes.set(piece.subarray(0, taken), at);
    Atomics.store(this.#words, WRITTEN, (written + taken) | 0);
    this.#tell();
    return taken;
  }

  /** The writer: resolves when there may be room. */
  async room(): Promise<void> {
    const read = Atomics.load(this.#words, READ);
    if (((Atomics.load(this.#words, WRITTEN) - read) | 0) < RING_BYTES) return;
    const waiting = Atomics.waitAsync(this.#words, READ, read);
    if (waiting.async) await waiting.value;
  }

  /** Ends a wait for room that nobody will make. */
  wakeWriter(): void {
    Atomics.notify(this.#words, READ);
  }

  /** The writer: that was all, or nobody wants it any more. */
  end(outcome: 'complete' | 'abandoned'): void {
    Atomics.store(this.#words, STATE, outcome === 'complete' ? COMPLETE : ABANDONED);
    this.#tell();
  }

  /** The reader: hands each piece to `take`, waiting for them with the whole thread. Returns whether they were complete. */
  readAll(take: (piece: Uint8Array) => void): boolean {
    for (;;) {
      const changes = Atomics.load(this.#words, CHANGES);
      // Before the bytes: what was written before the end is there when the end is seen.
      const state = Atomics.load(this.#words, STATE);
      const read = Atomics.load(this.#words, READ);
      const ready = (Atomics.load(this.#words, WRITTEN) - read) | 0;
      if (state === ABANDONED || (state === COMPLETE && ready === 0)) return state === COMPLETE;
      if (ready === 0) {
        Atomics.wait(this.#words, CHANGES, changes);
        continue;
      }
      const at = read & (RING_BYTES - 1);
      const piece = this.#bytes.subarray(at, Math.min(RING_BYTES, at + ready));
      take(piece);
      Atomics.store(this.#words, READ, (read + piece.byteLength) | 0);
      Atomics.notify(this.#words, READ);
    }
  }

  #tell(): void {
    Atomics.add(this.#words, CHANGES, 1);
    Atomics.notify(this.#words, CHANGES);
  }
}
