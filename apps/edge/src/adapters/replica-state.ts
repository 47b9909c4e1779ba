/** What serving threads have to know of the replica at each request, in shared memory. */
export class ReplicaState {
  /** For {@link ReplicaState} in another thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #caughtUpAtMs: Float64Array;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer;
    this.#caughtUpAtMs = new Float64Array(buffer, 0, 1);
    this.#words = new Int32Array(buffer, 8);
  }

  /** When catch-up last vouched for all placed entries, milliseconds since the epoch; undefined before the first time. */
  get caughtUpAtMs(): number | undefined {
    const ms = this.#caughtUpAtMs[0] as number;
    return ms === 0 ? undefined : ms;
  }
  /** Whether what is known may be behind what was confirmed (after a power cut, until catch-up). */
  get isDoubtful(): boolean {
    return Atomics.load(this.#words, 0) === 1;
  }

  /** The replica's side. */
  set({ caughtUpAtMs, isDoubtful }: { readonly caughtUpAtMs: number | undefined; readonly isDoubtful: boolean }): void {
    this.#caughtUpAtMs[0] = caughtUpAtMs ?? 0;
    Atomics.store(this.#words, 0, isDoubtful ? 1 : 0);
  }
}
