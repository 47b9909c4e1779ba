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
  /**
   * It is being written: there is something, but no complete state of it. Neither a change nor a removal follows from that, what is known of the key stays as it is; a hint
   * comes when it is complete. Until then `describe` and `open` refuse it with `REVISION_GONE`.
   */
  readonly settling?: true;
}
