/**
 * Bytes by their checksum, for all who read them at the origin. Where the origin keeps its content itself this is the blob store; where it stands on a source it is
 * `sourced-blobs.ts`, which brings what is asked for. Who keeps or removes bytes for good (uploads, the garbage collector) takes the store.
 */
import type { BlobRef, BlobStore, BlobWriter, ByteSource } from '@sluice/blobs';

/** Bytes `start … end`, both included. */
export interface ReadSpan {
  readonly start: number;
  readonly end: number;
}

/** An open blob. Close it. */
export interface OpenBlob extends ByteSource {
  readonly ref: BlobRef;
  /** Bytes `offset … offset+length-1`, fewer at the end of the blob. Do not change them. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /**
   * `readInto` will take these bytes in order. Resolves when the first of them can be read: what speaks against it is known before anything was answered, and what is far away is
   * asked for once. Absent where all of them are here.
   */
  prepare?(span: ReadSpan): Promise<void>;
}

/** What takes bytes that the origin has made: patches and variants. `discard` it in the end. */
export type DerivedWriter = Pick<BlobWriter, 'write' | 'seal' | 'finish' | 'discard'>;

export interface OriginBlobs extends Pick<BlobStore, 'filePath' | 'blockDigests' | 'setBlockDigests'> {
  /** Whether all bytes of a blob are on this disk now. */
  has(sha256: string): boolean;
  /** Bytes of a blob that is on this disk or known where it can be brought from; else undefined. */
  size(sha256: string): number | undefined;
  /** @throws {BlobMissingError} */
  reader(sha256: string): Promise<OpenBlob>;
  /** The whole of a blob; for small ones. @throws {BlobMissingError} */
  readAll(sha256: string): Promise<Uint8Array>;
  writer(): DerivedWriter;
  /** Brings a blob onto this disk. False: it does not fit there. Absent where all blobs are there. @throws {BlobMissingError} */
  bring?(sha256: string): Promise<boolean>;
}
