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
import type { SourceObject } from './services/source-port.ts';
import type { S3Settings, SourceSettings, StoreSettings } from './source-config.ts';
import { SourceSide } from './source-side.ts';
import { openStorage, type Storage } from './storage.ts';
import { originConfig, silent } from './testing/origin.fixture.ts';
import { contentOf, ScriptedSource } from './testing/scripted-source.fixture.ts';

const SETTINGS: S3Settings = {
  ...{ kind: 's3', endpoint: undefined, region: 'us-east-1', bucket: 'site', name: 'site', prefix: '' },
  ...{ credentials: undefined, pathStyle: true, notifications: undefined },
};

/** Longer than the pauses after the first failures to list. */
const LISTED_AGAIN_MS = 5_000;

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
  settings: Exclude<SourceSettings, StoreSettings> = SETTINGS,
): Promise<Side> {
  await mkdir(dir, { recursive: true });
  const config = originConfig(dir, environment.url, { ORIGIN_SOURCE_RESCAN_SECONDS: rescanSeconds });
  const bucketSettings = (key: string) => settingsOf(parseBuckets('', 1), key);
  const common = { clock: systemClock, rng: systemRng, metrics: createOriginMetrics(new Registry()), log: silent };
  const lifecycle = new Lifecycle(silent);
  const side = new SourceSide({ ...common, config, settings, source, bucketSettings });
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

test('where the origin that lists goes away another takes its turn at once, not at the next rescan', async () => {
  await using environment = await testBroker();
  await using dir = await temporaryDirectory();
  const source = new ScriptedSource();
  source.put('site/a', contentOf(Buffer.from('a')));
  source.isAway = true;
  const first = await sideOn(source, environment, join(dir.path, 'first'), 3600);
  await first.connect('a');
  await using second = await sideOn(source, environment, join(dir.path, 'second'), 3600);
  await second.connect('b');
  await eventually(() => expect(second.side.isFirst).toBe(false), 10_000);
  // Its listing has failed or was not its turn: from now on it is not.
  await new Promise<void>((resolve) => systemClock.after(LISTED_AGAIN_MS, resolve));
  source.isAway = false;
  await first[Symbol.asyncDispose]();
  await eventually(() => expect([second.storage.catalog.objectCount, second.side.unready]).toEqual([1, undefined]), 12_000);
});

test('an origin that is stopped before it reaches the broker begins nothing when it does', async () => {
  await using environment = await testBroker();
  await using dir = await temporaryDirectory();
  const source = new ScriptedSource();
  const one = await sideOn(source, environment, join(dir.path, 'one'));
  await one[Symbol.asyncDispose]();
  await one.connect('one');
  expect(one.side.isFirst).toBe(false);
});

test('an origin of other content that comes to the same broker removes nothing, and says what to do', async () => {
  await using environment = await testBroker();
  await using dir = await temporaryDirectory();
  const [source, empty] = [new ScriptedSource(), new ScriptedSource()];
  source.put('site/a', contentOf(Buffer.from('a')));
  await using one = await sideOn(source, environment, join(dir.path, 'one'));
  await one.connect('b');
  await eventually(() => expect(one.side.unready).toBeUndefined(), 10_000);
  await using other = await sideOn(empty, environment, join(dir.path, 'other'), 1, { ...SETTINGS, bucket: 'other' });
  await other.connect('a');
  await eventually(() => expect(other.side.unready).toMatch(/of bucket site, and .* bucket other, called site here: connect one/), 10_000);
  expect([one.storage.catalog.objectCount, other.storage.catalog.objectCount]).toEqual([1, 0]);
});

test('what is announced by hand while it is being written for the first time is not unknown: it is announced when it is complete', async () => {
  class SettlingSource extends ScriptedSource {
    isSettling = true;
    override async find(key: string): Promise<SourceObject | undefined> {
      const found = await super.find(key);
      return found && { ...found, ...(this.isSettling && { settling: true as const }) };
    }
    override async *list(): AsyncGenerator<readonly SourceObject[]> {}
  }
  await using environment = await testBroker();
  await using dir = await temporaryDirectory();
  const source = new SettlingSource();
  source.put('site/a', contentOf(Buffer.from('a')));
  const settings = { kind: 'directory', root: '/srv/www', bucket: 'site', rulesFile: undefined } as const;
  await using one = await sideOn(source, environment, join(dir.path, 'one'), 3600, settings);
  const request = { eventId: 'announce-1', cause: 'by-hand' };
  await expect(one.side.announce('site/a', request)).rejects.toMatchObject({ retryable: true });
  expect(await one.side.announce('site/b', request)).toBe('unknown');
  source.isSettling = false;
  expect(await one.side.announce('site/a', request)).toBe('announced');
});
