/** One object as it is found at a source. */
export interface SourceObject {
  /** A content key: `<bucket>/<path>`. What can be none is left out and counted by the source. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Names the state of bytes and fields: another one whenever either may have changed. Opaque, at most 512 characters. */
  readonly revision: string;
  /** Names the state of the bytes alone: equal ones of a key mean equal bytes, so that they need not be read again where only fields changed. Opaque, at most 512 characters. */
  readonly bytesRevision: string;
  /** It is being written: nothing is known about its next state, and the catalog keeps the one it has. */
  readonly unsettled?: true;
}
