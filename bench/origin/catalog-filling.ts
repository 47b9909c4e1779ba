/** A catalog as uploads would have left it, made in a fraction of the time through the origin's own code. */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@sluice/runtime';
import { Catalog } from '../../apps/origin/src/adapters/catalog/catalog.ts';

/** Uploads in one transaction. */
const PAGE = 5_000;

/** The keys of `count` objects as a shop has them, without their bucket, in the order of their bytes. */
export function keysOf(count: number): string[] {
  const keys = Array.from({ length: count }, (_, number) => {
    const spread = createHash('sha1').update(String(number)).digest('hex');
    return `assets/${spread.slice(0, 2)}/${spread.slice(2, 4)}/${spread.slice(4, 20)}-${number}.webp`;
  });
  return keys.sort();
}

/** Brings objects of these keys into the catalog of an origin that does not run. Their bytes are nowhere: a listing does not look for them. */
export async function fillCatalog(dataDir: string, bucket: string, keys: readonly string[]): Promise<void> {
  mkdirSync(dataDir, { recursive: true });
  // Without an outbox: a broker that is told of a million uploads would be what is measured.
  const catalog = new Catalog({ path: join(dataDir, 'catalog.db'), clock: systemClock, outboxMaxEntries: 0, multipartMaxOpen: 1 });
  const fields = { contentType: 'image/webp', cacheControl: 'public, max-age=31536000, immutable', meta: {}, regions: [], tags: [] };
  for (let at = 0; at < keys.length; at += PAGE) {
    const page = keys.slice(at, at + PAGE);
    await Promise.all(
      page.map((key) => {
        const sha256 = createHash('sha256').update(key).digest('hex');
        return catalog.put(`${bucket}/${key}`, fields, { sha256, size: 10_000, etag: sha256.slice(0, 32) });
      }),
    );
  }
  catalog.close();
}
