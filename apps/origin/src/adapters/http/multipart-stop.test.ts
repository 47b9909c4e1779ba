import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { BlobStore, type Operate } from '@sluice/blobs';
import { Registry } from '@sluice/runtime';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { toS3Error } from '../../domain/s3-error.ts';
import { catalogFixture, fields } from '../../testing/catalog.fixture.ts';
import { completeDocument } from '../../testing/multipart.fixture.ts';
import { errorCode, md5, silent } from '../../testing/origin.fixture.ts';
import { plainBuckets } from '../../testing/plain-buckets.fixture.ts';
import { GarbageCollector } from '../blobs/garbage-collector.ts';
import { createOriginMetrics } from '../metrics.ts';
import { Exchange } from './exchange.ts';
import { MultipartCompletion } from './multipart-completion.ts';
import { Uploads } from './put-object.ts';

test('what is being completed when the origin must stop is given up, and its upload stays open', async () => {
  await using fixture = await catalogFixture();
  await using dir = await temporaryDirectory();
  const [held, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const operate: Operate = (label, operation) => {
    if (label !== 'BLOB_READ:OPEN') return operation();
    held.resolve();
    return gate.promise.then(operation) as ReturnType<typeof operation>;
  };
  const blobs = await BlobStore.open({ dir: join(dir.path, 'blobs'), durability: 'full', operate });
  const { catalog, clock } = fixture;
  const metrics = createOriginMetrics(new Registry());
  const garbage = new GarbageCollector({ blobs, isReferenced: (sha256) => catalog.references.isReferenced(sha256), metrics, log: silent });
  const blocks = { offer: () => {} };
  const uploads = new Uploads({
    blobs,
    catalog,
    garbage,
    blocks,
    metrics,
    maxUploads: 1,
    bucketSettings: plainBuckets,
    md5Threads: { begin: () => undefined },
  });
  const completion = new MultipartCompletion({
    blobs,
    catalog,
    uploads,
    garbage,
    blocks,
    clock,
    metrics,
    partMinBytes: undefined,
    bucketSettings: plainBuckets,
  });
  const upload = await catalog.multipart.create('site/a', fields(), undefined);
  const body = randomBytes(100_000);
  await catalog.multipart.putPart(upload, { number: 1, ...(await blobs.put(body)), md5: md5(body), checksums: {} });

  const server = createServer((request, response) => {
    const exchange = new Exchange(request, response, false);
    const asked = {
      resource: { kind: 'object', bucket: 'site', key: 'site/a' },
      query: new URLSearchParams({ uploadId: upload.id }),
      may: () => true,
    } as const;
    Promise.resolve(completion.handle(exchange, asked)).catch((error) => exchange.refuse(toS3Error(error)));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const answered = fetch(url, { method: 'POST', body: completeDocument([{ number: 1, etag: md5(body) }]) });
  await held.promise;
  const stopped = completion.stop();
  gate.resolve();
  await stopped;
  const answer = await answered;
  expect([answer.status, await errorCode(answer)]).toEqual([503, 'SlowDown']);
  expect([catalog.find('site/a'), catalog.multipart.get(upload.id, 'site/a').id]).toEqual([undefined, upload.id]);
  await garbage.idle();
  expect(blobs.totals.count).toBe(1);
  server.close();
  blobs.close();
});
