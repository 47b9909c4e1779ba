/** Which large objects that are not kept may be brought now. Others wait for a while, first come, first served among those that fit. */
import type { Clock } from '@sluice/runtime';
import { TransfersBusyError } from './transfers.ts';

/** Brought at the same time, each until all of it has come, however slowly it is read. */
const CONCURRENT = 4;
/** Visitors that wait, and for how long: less than a proxy or a browser does. */
export const WAITING_LARGE_MAX = 64;
export const WAIT_MS = 10_000;

export interface Place {
  /** All of it is on the disk: others may be brought. */
  complete(): void;
  /** It is off the disk. */
  leave(): void;
}

interface Waiting {
  readonly sizeBytes: number;
  readonly enter: () => void;
}

export class DetachedPlaces {
  readonly #diskBytes: number;
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  #coming = 0;
  #files = 0;
  #bytes = 0;

  /** `diskBytes`: for all that is on the disk at the same time; as many as may be brought at the same time may take more. */
  constructor(diskBytes: number, clock: Clock) {
    this.#diskBytes = diskBytes;
    this.#clock = clock;
  }

  /** Resolves when it is this one's turn. `withdrawn`: nobody waits any more. @throws {TransfersBusyError} when it is not soon enough */
  async take(sizeBytes: number, withdrawn: AbortSignal): Promise<Place> {
    if (this.#fits(sizeBytes)) return this.#enter(sizeBytes);
    if (this.#waiting.size >= WAITING_LARGE_MAX || withdrawn.aborted) throw new TransfersBusyError();
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        cancel();
        withdrawn.removeEventListener('abort', giveUp);
        this.#waiting.delete(waiting);
      };
      const giveUp = (): void => {
        leave();
        reject(new TransfersBusyError());
      };
      const waiting: Waiting = {
        sizeBytes,
        enter: () => {
          leave();
          resolve(this.#enter(sizeBytes));
        },
      };
      const cancel = this.#clock.after(WAIT_MS, giveUp);
      withdrawn.addEventListener('abort', giveUp);
      this.#waiting.add(waiting);
    });
  }

  #fits(sizeBytes: number): boolean {
    return this.#coming < CONCURRENT && (this.#files < CONCURRENT || this.#bytes + sizeBytes <= this.#diskBytes);
  }

  #enter(sizeBytes: number): Place {
    this.#coming += 1;
    this.#files += 1;
    this.#bytes += sizeBytes;
    let isComing = true;
    const complete = (): void => {
      if (isComing) this.#coming -= 1;
      isComing = false;
      this.#letIn();
    };
    const leave = (): void => {
      this.#files -= 1;
      this.#bytes -= sizeBytes;
      complete();
    };
    return { complete, leave };
  }

  #letIn(): void {
    for (const { sizeBytes, enter } of this.#waiting) if (this.#fits(sizeBytes)) enter();
  }
}
