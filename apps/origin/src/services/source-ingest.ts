/** Bytes of a source that the catalog does not know yet: named in one pass, and kept where they fit. */
import { createHash } from 'node:crypto';
import { type BlobRef, type BlobStore, type BlobWriter, DiskFullError } from '@sluice/blobs';
import type { CacheBudget } from './cache-budget.ts';
import { type Coming, readComing, type Watch } from './source-chunks.ts';
import { RevisionGoneError, type SourceObject } from './source-port.ts';

export interface Ingested extends BlobRef {
  /** In hexadecimal. */
  readonly md5: string;
}

export interface IngestParts {
  readonly store: Pick<BlobStore, 'writer'>;
  readonly budget: CacheBudget;
  /** Bytes of the largest that is kept. */
  readonly maxKeptBytes: number;
  /** Of the source, for errors. */
  readonly title: string;
  readonly watch: Watch;
}

/**
 * Takes the chunks of an object and closes it. `keep`: false only names them, for a first pass over far more than the cache has room for.
 * @throws {RevisionGoneError} when there are more or fewer bytes than were found, {SourceAwayError} when they do not come; nothing is kept then
 */
export async function ingest(parts: IngestParts, object: SourceObject, opened: Coming, keep: boolean): Promise<Ingested> {
  const { store, budget, maxKeptBytes, title, watch } = parts;
  const room = keep && object.size <= maxKeptBytes ? budget.reserve(object.size) : undefined;
  const writer = store.writer(budget.nextRank());
  const md5 = createHash('md5');
  try {
    let isKept = room !== undefined;
    if (!isKept) await writer.forgo();
    for await (const chunk of readComing(opened, title, watch)) {
      md5.update(chunk);
      isKept = (await write(writer, chunk, budget)) && isKept;
      if (writer.size > object.size) throw new RevisionGoneError(object);
    }
    const ref = writer.seal();
    if (ref.size !== object.size) throw new RevisionGoneError(object);
    if (isKept) await unlessFull(() => writer.finish(), budget);
    return { ...ref, md5: md5.digest('hex') };
  } finally {
    await writer.discard();
    room?.release();
  }
}

/** Where the disk is full the rest is named all the same: it cannot be had twice. Whether what was written is kept. */
async function write(writer: BlobWriter, chunk: Uint8Array, budget: CacheBudget): Promise<boolean> {
  if (await unlessFull(() => writer.write(chunk), budget)) return true;
  await writer.forgo();
  return false;
}

async function unlessFull(work: () => Promise<unknown>, budget: CacheBudget): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof DiskFullError)) throw error;
    budget.rest();
    return false;
  }
}
