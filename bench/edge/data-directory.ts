/** Data directories of edges, as pushes would have left them, made in a fraction of the time. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { BlobStore } from '@sluice/blobs';
import type { Manifest } from '@sluice/contracts';
import { CatalogIndex } from '../../apps/edge/src/adapters/catalog-index.ts';

/** Changes in one transaction. */
const PAGE = 5_000;

/** Brings manifests into the index under `dataDir`. */
export async function fillIndex(dataDir: string, manifests: Iterable<Manifest>): Promise<void> {
  const index = new CatalogIndex({ dir: dataDir, region: 'US', nowMs: Date.now });
  for (const page of pagesOf(manifests, PAGE)) {
    index.applyPage(
      page.map((manifest) => ({ op: 'store', manifest, provenance: { kind: 'announced' } })),
      false,
    );
  }
  index.close();
}

/** Brings contents into the blobs under `dataDir`. */
export async function fillBlobs(dataDir: string, contents: Iterable<Uint8Array>): Promise<void> {
  const blobs = await BlobStore.open({ dir: join(dataDir, 'blobs'), durability: 'relaxed' });
  for (const page of pagesOf(contents, PAGE)) await Promise.all(page.map((bytes) => blobs.put(bytes)));
  blobs.close();
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function* pagesOf<Item>(items: Iterable<Item>, size: number): Generator<Item[]> {
  let page: Item[] = [];
  for (const item of items) {
    page.push(item);
    if (page.length < size) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
