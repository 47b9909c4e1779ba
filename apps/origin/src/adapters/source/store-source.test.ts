import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { BlobStore } from '@sluice/blobs';
import { systemClock } from '@sluice/runtime';
import { temporaryDirectory } from '@sluice/testkit';
import { type UploadFields, uploadFields } from '../../domain/upload-headers.ts';
import { catalogFixture } from '../../testing/catalog.fixture.ts';
import { describeSource } from '../../testing/source-conformance.ts';
import { StoreSource } from './store-source.ts';

describeSource('store', async () => {
  const dir = await temporaryDirectory();
  const fixture = await catalogFixture({ clock: systemClock });
  const blobs = await BlobStore.open({ dir: join(dir.path, 'blobs'), durability: 'relaxed' });
  const put = async (key: string, bytes: Uint8Array, fields: Partial<UploadFields> = {}): Promise<void> => {
    const { sha256, size } = await blobs.put(bytes);
    await fixture.catalog.put(key, { ...uploadFields(key, {}), ...fields }, { sha256, size, etag: randomUUID() });
  };
  return {
    source: new StoreSource({ catalog: fixture.catalog, blobs }),
    bucket: 'site',
    put,
    remove: async (key) => void (await fixture.catalog.remove(key)),
    settle: async () => {},
    leftOut: () => 0,
    putUnnameable: undefined,
    setFields: async (key, fields) => put(key, await blobs.readAll(fixture.catalog.find(key)?.manifest.sha256 ?? ''), fields),
    overwrite: undefined,
    rename: undefined,
    openReads: undefined,
    hints: false,
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]();
      blobs.close();
      await dir[Symbol.asyncDispose]();
    },
  };
});
