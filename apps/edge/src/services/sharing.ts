import type { Clock } from '@sluice/runtime';

/** How long what has proved itself waits for more of its kind: a message costs as much as answering several requests. */
const SHARE_MS = 50;
/** More bytes than this do not wait. */
export const WAITING_MAX_BYTES = 1024 * 1024;

/** Bytes that all threads can read. */
export interface SharedBlob {
  readonly sha256: string;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
}

/** Brings what a serving thread wants to share with the others to the replica, several at a time. */
export class Sharing {
  readonly #clock: Clock;
  readonly #tell: (blobs: readonly SharedBlob[]) => void;
  #waiting: SharedBlob[] = [];
  #waitingBytes = 0;

  constructor(clock: Clock, tell: (blobs: readonly SharedBlob[]) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  add(blob: SharedBlob): void {
    if (this.#waiting.length === 0) this.#clock.after(SHARE_MS, () => this.#flush());
    this.#waiting.push(blob);
    this.#waitingBytes += blob.bytes.byteLength;
    if (this.#waitingBytes > WAITING_MAX_BYTES) this.#flush();
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    this.#tell(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}
