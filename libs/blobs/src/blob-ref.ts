/** A name and a length: what identifies content. */
export interface BlobRef {
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}
