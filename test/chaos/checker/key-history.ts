/** What one key was, one after the other, as far as whoever wrote it can know. Times are milliseconds since the run began. */

/** One state of a key. The first of each key is that it is not there. */
export interface KeyState {
  /** Undefined: the key is not there. */
  readonly bytes: Buffer | undefined;
  /** SHA-256 in hex; '' when the key is not there. */
  readonly sha256: string;
  readonly regions: readonly string[];
  readonly tags: readonly string[];
  /** From here on it may be so. */
  readonly beganAtMs: number;
  /** From here on it is so: the origin has said so. */
  acknowledgedAtMs: number | undefined;
  /** Its version at the origin. One that was tried more than once may also be found with versions that nobody was told of. */
  version: number | undefined;
}

const NEVER: KeyState = { bytes: undefined, sha256: '', regions: [], tags: [], beganAtMs: 0, acknowledgedAtMs: 0, version: 0 };

/** The writes of one key follow each other: none begins before the one before it was acknowledged. */
export class KeyHistory {
  readonly states: KeyState[] = [NEVER];

  get latest(): KeyState {
    return this.states.at(-1) as KeyState;
  }

  /** A write is about to be sent. @throws {Error} when the one before is under way */
  begin(state: Omit<KeyState, 'acknowledgedAtMs' | 'version'>): KeyState {
    if (this.latest.acknowledgedAtMs === undefined) throw new Error('the write before is not acknowledged yet');
    const begun: KeyState = { ...state, acknowledgedAtMs: undefined, version: undefined };
    this.states.push(begun);
    return begun;
  }

  /** The origin has accepted it, with this version as far as it was told. */
  acknowledge(state: KeyState, atMs: number, version: number | undefined): void {
    state.acknowledgedAtMs = atMs;
    state.version = version;
  }
}
