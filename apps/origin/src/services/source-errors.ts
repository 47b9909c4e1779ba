/** What becomes of a read when the bytes are not where the catalog says, or cannot be had now. All of it may pass: who asks again later may get them. */
import { SluiceError } from '@sluice/contracts';

/**
 * The bytes at the source are not those of the blob any more. Told as missing, because that is what edges ask again about: they resolve the key once more, and get what the origin
 * has found out about it by then.
 */
export class SourceChangedError extends SluiceError {
  constructor(sha256: string, cause?: unknown) {
    super('BLOB_MISSING', `blob ${sha256} is not at its source any more; resolve the key again`, { retryable: true, cause });
    this.name = 'SourceChangedError';
  }
}

/** So much is being read from the source that no more may begin or wait. */
export class SourceBusyError extends SluiceError {
  constructor(limit: number) {
    super('BUSY', `${limit} reads of the source are under way or waiting already; ask again later`, { retryable: true });
    this.name = 'SourceBusyError';
  }
}

/** The origin is stopping and reads nothing more from its source. */
export class SourceClosedError extends SluiceError {
  constructor() {
    super('SOURCE_AWAY', 'the origin is stopping; ask again when it is back', { retryable: true });
    this.name = 'SourceClosedError';
  }
}

/** Bytes that were made do not fit the cache. */
export class CacheFullError extends SluiceError {
  constructor(maxBytes: number) {
    super('CACHE_FULL', `there is no room in the cache of ${maxBytes} bytes; allow it more`, { retryable: true });
    this.name = 'CacheFullError';
  }
}
