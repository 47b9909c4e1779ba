/** What the services need of the outside. The adapters have these shapes. */
import type { Lease } from './domain/lease-table.ts';
import type { KeyState } from './domain/planner.ts';

/** Which edges are alive. */
export interface LiveEdges {
  /** Resolves when the answer of {@link live} can be relied on: not before every edge had the time to be heard. */
  settled(): Promise<void>;
  live(): Lease[];
}

/** The truth. */
export interface OriginReader {
  /**
   * The state of `key` now, with small content when `withContent`; undefined when the origin has never known it. `atLeast`: a version that has been announced; no answer is older.
   * @throws {SluiceError} when the origin cannot be asked or refuses
   */
  stateOf(key: string, withContent: boolean, atLeast: number): Promise<KeyState | undefined>;
  /** The newest version of the whole catalog, of an origin that has come to `atLeast` if any has; undefined when the origin cannot be asked. */
  newestVersion(atLeast: number): Promise<number | undefined>;
}
