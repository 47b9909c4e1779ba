/** What several origins of one bucket do, whatever one of them does not know yet. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { operate } from '@sluice/blobs';
import { Lifecycle, Registry, systemClock, systemRng } from '@sluice/runtime';
import { eventually, temporaryDirectory, testBroker } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { createOriginMetrics } from './adapters/metrics.ts';
import { parseBuckets } from './buckets-config.ts';
import { settingsOf } from './domain/bucket-settings.ts';
import type { SourceSettings } from './source-config.ts';
import { SourceSide } from './source-side.ts';
import { openStorage, type Storage } from './storage.ts';
import { originConfig, silent } from './testing/origin.fixture.ts';
import { contentOf, ScriptedSource } from './testing/scripted-source.fixture.ts';

const SETTINGS: SourceSettings = {
  ...{ kind: 's3', endpoint: undefined, region: 'us-east-1', bucket: 'site', name: 'site', prefix: '' },
  ...{ credentials: undefined, pathStyle: true, notifications: undefined },
};

interface Side extends AsyncDisposable {
  readonly side: SourceSide;
  readonly storage: Storage;
  /** The broker is there. */
  connect(id: string): Promise<void>;
}

/** An origin of a shared catalog without its HTTP and without what it answers. */
async function sideOn(
  source: ScriptedSource,
  environment: Awaited<ReturnType<typeof testBroker>>,
  dir: string,
  rescanSeconds = 1,
): Promise<Side> {
  await mkdir(dir, { recursive: true });
  const config = originConfig(dir, environment.url, { ORIGIN_SOURCE_RESCAN_SECONDS: rescanSeconds });
  const bucketSettings = (key: string) => settingsOf(parseBuckets('', 1), key);
  const common = { clock: systemClock, metrics: createOriginMetrics(new Registry()), log: silent };
  const lifecycle = new Lifecycle(silent);
  const side = new SourceSide({ ...common, config, settings: SETTINGS, source, bucketSettings, rng: systemRng });
  const storage = await openStorage({ ...common, config, bucketSettings, lifecycle, operate, onEvent: () => {}, sourceSide: side });
  side.start();
  return {
    ...{ side, storage },
    connect: async (id) => side.connect(await environment.connect(), id),
    async [Symbol.asyncDispose]() {
      await side.stop();
      await lifecycle.stop('end of test');
    },
  };
}

test('an origin that was away and does not know yet what the others do says of no key that there is none', async () => {
  await using environment = await testBroker();
  await using dir = await temporaryDirectory();
  const source = new ScriptedSource();
  source.put('site/a', contentOf(Buffer.from('a')));
  await using one = await sideOn(source, environment, join(dir.path, 'one'));
  await one.connect('one');
  {
    await using other = await sideOn(source, environment, join(dir.path, 'other'));
    await other.connect('other');
    await eventually(() => expect(other.side.unready).toBeUndefined(), 10_000);
  }
  source.put('site/b', contentOf(Buffer.from('b')));
  await eventually(() => expect(one.storage.catalog.find('site/b')).toBeDefined(), 10_000);
  await using other = await sideOn(source, environment, join(dir.path, 'other'));
  expect(other.storage.catalog.find('site/b')).toBeUndefined();
  const answers = Promise.all([other.side.has('site/b'), other.side.has('site/c')]);
  await other.connect('other');
  expect(await answers).toEqual([true, false]);
});
