/** Bytes that can be read from any place on. Close it. */
export interface ByteSource {
  /** Bytes `offset … offset+length-1`; there must be as many. Do not change them. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `buffer` with the bytes from `offset` on; there must be as many. @throws {BlobMismatchError} when they are not there */
  readInto(buffer: Uint8Array, offset: number): Promise<void>;
  close(): Promise<void>;
}
