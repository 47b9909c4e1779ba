import { SluiceError } from '@sluice/contracts';

/** Not held (any more). */
export class BlobMissingError extends SluiceError {
  constructor(sha256: string) {
    super('BLOB_MISSING', `no blob ${sha256} is held`);
    this.name = 'BlobMissingError';
  }
}

/** The disk gives other bytes for a blob than were written, or none. Whoever has been given a part of it must not take that for the whole. */
export class BlobDamagedError extends SluiceError {
  constructor(sha256: string, cause?: unknown) {
    super('BLOB_DAMAGED', `the bytes of blob ${sha256} are damaged on this disk`, { retryable: true, cause });
    this.name = 'BlobDamagedError';
  }
}

/** What was written is not what was announced; nothing was kept. */
export class BlobMismatchError extends SluiceError {
  constructor(message: string) {
    super('BLOB_MISMATCH', message, { retryable: true });
    this.name = 'BlobMismatchError';
  }
}

/** The disk is full; nothing half-written was kept. */
export class DiskFullError extends SluiceError {
  constructor(cause: unknown) {
    super('DISK_FULL', 'the disk is full', { retryable: true, cause });
    this.name = 'DiskFullError';
  }
}

/** SQLITE_FULL, https://www.sqlite.org/rescode.html#full */
const SQLITE_FULL = 13;

/** Whether an error of the file system or of SQLite means that space ran out. */
export function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT' || errcode === SQLITE_FULL;
}

/** The error to throw for one that disk or database threw. */
export function fromDiskError(error: unknown): unknown {
  return isDiskFull(error) ? new DiskFullError(error) : error;
}
