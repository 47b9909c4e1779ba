/**
 * How far a file that is being filled has come, told across threads through shared memory. One thread fills; any number wait for what they need.
 */
import { BlobMismatchError } from './errors.ts';

const FILLING = 0;
const COMPLETE = 1;
const FAILED = 2;
/** Words of 32 bits: [0, 1] available bytes, [2] state, [3] changes, for waiting. */
const STATE = 2;
const CHANGES = 3;
const BUFFER_BYTES = 16;

export class Growth {
  /** For {@link Growth} in another thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #availableBytes: BigInt64Array;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(BUFFER_BYTES)) {
    this.buffer = buffer;
    this.#availableBytes = new BigInt64Array(buffer, 0, 1);
    this.#words = new Int32Array(buffer);
  }

  /** Bytes at the beginning of the file that can be read. */
  get availableBytes(): number {
    return Number(Atomics.load(this.#availableBytes, 0));
  }
  /** Whether all bytes are there and verified. */
  get isComplete(): boolean {
    return Atomics.load(this.#words, STATE) === COMPLETE;
  }
  get hasFailed(): boolean {
    return Atomics.load(this.#words, STATE) === FAILED;
  }

  /** The filling thread: so many bytes can be read now. */
  advanceTo(bytes: number): void {
    Atomics.store(this.#availableBytes, 0, BigInt(bytes));
    this.#tell();
  }
  /** All bytes are there and verified. */
  complete(): void {
    this.#end(COMPLETE);
  }
  /** They will not come, or are not the right ones. Later ends change nothing. */
  fail(): void {
    this.#end(FAILED);
  }
  #end(state: number): void {
    if (Atomics.compareExchange(this.#words, STATE, FILLING, state) === FILLING) this.#tell();
  }
  #tell(): void {
    Atomics.add(this.#words, CHANGES, 1);
    Atomics.notify(this.#words, CHANGES);
  }

  /** Resolves when there are so many bytes, or all of them. @throws {BlobMismatchError} when they will not come */
  async reach(bytes: number): Promise<void> {
    await this.#until(() => this.availableBytes >= bytes);
  }

  /** Resolves when all bytes are there and verified. @throws {BlobMismatchError} when they are not what was announced, or did not come */
  async reachVerified(): Promise<void> {
    await this.#until(() => false);
  }

  async #until(isEnough: () => boolean): Promise<void> {
    for (;;) {
      const seen = Atomics.load(this.#words, CHANGES);
      const state = Atomics.load(this.#words, STATE);
      if (state === FAILED) throw new BlobMismatchError('the fill of this blob has failed');
      if (state === COMPLETE || isEnough()) return;
      const waiting = Atomics.waitAsync(this.#words, CHANGES, seen);
      if (waiting.async) await waiting.value;
    }
  }
}
