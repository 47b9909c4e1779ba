import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobStore, type Operate } from '@sluice/blobs';
import { Registry } from '@sluice/runtime';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { createOriginMetrics } from '../adapters/metrics.ts';
import { type Located, SourcedBlobs, type SourcedBlobsOptions } from '../services/sourced-blobs.ts';
import { silent } from './origin.fixture.ts';
import { type Content, contentOf, ScriptedSource } from './scripted-source.fixture.ts';

const SLICE_BYTES = 1024 * 1024;

export function checksumOf(content: Content): string {
  const hash = createHash('sha256');
  for (let at = 0; at < content.size; at += SLICE_BYTES) hash.update(content.at(at, Math.min(SLICE_BYTES, content.size - at)));
  return hash.digest('hex');
}

export interface SourcedFixture extends AsyncDisposable {
  readonly blobs: SourcedBlobs;
  readonly store: BlobStore;
  readonly source: ScriptedSource;
  readonly clock: FakeClock;
  readonly dir: string;
  /** What the catalog of the test knows, by checksum. */
  readonly known: Map<string, Located>;
  readonly pinned: Set<string>;
  readonly gone: string[];
  readonly wrong: string[];
  /** Puts an object to the source and into the catalog. Returns its checksum. */
  add(key: string, bytes: Uint8Array | Content): string;
  metric(name: 'sourceReads' | 'cacheEvictions', outcome?: string): Promise<number | undefined>;
  /** Ends it and opens it again on the same directory. */
  restart(options?: Partial<SourcedBlobsOptions>): Promise<void>;
}

/** Bytes of a scripted source through a cache in a directory of its own. */
export async function sourcedFixture(options: Partial<SourcedBlobsOptions> = {}, operate?: Operate): Promise<SourcedFixture> {
  const dir = await temporaryDirectory();
  const path = join(dir.path, 'blobs');
  const clock = new FakeClock();
  const source = new ScriptedSource();
  const known = new Map<string, Located>();
  const pinned = new Set<string>();
  const gone: string[] = [];
  const wrong: string[] = [];
  const metrics = createOriginMetrics(new Registry());
  const open = async (more: Partial<SourcedBlobsOptions>) => {
    const store = await BlobStore.open({ dir: path, durability: 'relaxed', ...(operate && { operate }) });
    const blobs = new SourcedBlobs({
      ...{ store, source, clock, metrics, log: silent, maxBytes: 64 * 1024 * 1024 },
      locate: (sha256) => known.get(sha256),
      isPinned: (sha256) => pinned.has(sha256),
      onGone: (key) => gone.push(key),
      onWrong: (sha256) => wrong.push(sha256),
      ...options,
      ...more,
    });
    return { store, blobs };
  };
  let parts = await open({});
  const close = async (): Promise<void> => {
    await parts.blobs.stop();
    parts.store.close();
  };
  return {
    ...{ source, clock, known, pinned, gone, wrong, dir: path },
    get blobs() {
      return parts.blobs;
    },
    get store() {
      return parts.store;
    },
    add(key, bytes) {
      const content = bytes instanceof Uint8Array ? contentOf(bytes) : bytes;
      const sha256 = checksumOf(content);
      known.set(sha256, { object: source.put(key, content), size: content.size });
      return sha256;
    },
    async metric(name, outcome) {
      const { values } = await metrics[name].get();
      return values.find(({ labels }) => outcome === undefined || (labels as { outcome?: string }).outcome === outcome)?.value;
    },
    async restart(more = {}) {
      await close();
      parts = await open(more);
    },
    async [Symbol.asyncDispose]() {
      await close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** The whole of a blob in pieces, as an answer is sent. */
export async function readInOrder(blobs: SourcedBlobs, sha256: string, pieceBytes = 256 * 1024): Promise<Buffer> {
  const reader = await blobs.reader(sha256);
  const { size } = reader.ref;
  const bytes = Buffer.alloc(size);
  try {
    if (size > 0) await reader.prepare?.({ start: 0, end: size - 1 });
    for (let at = 0; at < size; at += pieceBytes) await reader.readInto(bytes.subarray(at, Math.min(size, at + pieceBytes)), at);
    return bytes;
  } finally {
    await reader.close();
  }
}

/** Every blob of the cache has the bytes of its name, and there is nothing on its way. @throws when one of these is not so */
export async function checkCache({ blobs, store, dir }: Pick<SourcedFixture, 'blobs' | 'store' | 'dir'>): Promise<void> {
  await blobs.idle();
  let bytes = 0;
  for (const { sha256, size } of store.list('', 100_000)) {
    const content = await store.readAll(sha256);
    assert.equal(checksumOf(contentOf(content)), sha256);
    bytes += size;
  }
  assert.equal(store.totals.bytes, bytes);
  assert.deepEqual(await readdir(join(dir, 'incoming')), []);
}
