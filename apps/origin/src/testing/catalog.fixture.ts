import { join } from 'node:path';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { Catalog, type CatalogOptions } from '../adapters/catalog/catalog.ts';
import type { StoredBody } from '../domain/catalog-change.ts';
import type { UploadFields } from '../domain/upload-headers.ts';

export interface CatalogFixture extends AsyncDisposable {
  readonly catalog: Catalog;
  readonly clock: FakeClock;
  /** Of the database. */
  readonly path: string;
  /** Checksums named as possible garbage since the last look. */
  garbage(): string[];
  /** Closes and opens it again, as a new process would. */
  reopen(options?: Partial<CatalogOptions>): void;
}

/** A catalog on a real file, with a clock that obeys. */
export async function catalogFixture(options: Partial<CatalogOptions> = {}): Promise<CatalogFixture> {
  const dir = await temporaryDirectory();
  const path = join(dir.path, 'catalog.db');
  const clock = new FakeClock();
  let garbage: string[] = [];
  const open = (more: Partial<CatalogOptions>): Catalog =>
    new Catalog({
      path,
      clock,
      outboxMaxEntries: 1_000,
      multipartMaxOpen: 100,
      onGarbage: (checksums) => garbage.push(...checksums),
      ...more,
    });
  let catalog = open(options);
  return {
    get catalog() {
      return catalog;
    },
    clock,
    path,
    garbage: () => {
      const seen = [...new Set(garbage)].sort();
      garbage = [];
      return seen;
    },
    reopen(more = options) {
      if (catalog.open) catalog.close();
      catalog = open(more);
    },
    async [Symbol.asyncDispose]() {
      if (catalog.open) catalog.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

export function fields(regions: string[] = [], tags: string[] = []): UploadFields {
  return { contentType: 'text/plain', meta: {}, regions, tags };
}

/** A body named by one character. */
export function body(name: string, size = 10_000): StoredBody {
  return { sha256: checksum(name), size, etag: '0'.repeat(32) };
}
export function checksum(name: string): string {
  return Buffer.from(name).toString('hex').padEnd(64, '0');
}
