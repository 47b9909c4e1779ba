import { join } from 'node:path';
import { createLogger, createMetrics } from '@sluice/runtime';
import { eventually, FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { Catalog } from '../adapters/catalog/catalog.ts';
import { createOriginMetrics } from '../adapters/metrics.ts';
import { contentOf, ScriptedSource } from '../testing/scripted-source.fixture.ts';
import { Reflection } from './reflection.ts';
import { UnusableObjectError } from './source-port.ts';

/** The reflection of a scripted source in a catalog of its own, whose first reading of an object fails as `failure` says. */
async function scene(failure: Error) {
  const dir = await temporaryDirectory();
  const [clock, source] = [new FakeClock(Date.now()), new ScriptedSource()];
  const catalog = new Catalog({
    path: join(dir.path, 'catalog.db'),
    clock,
    durability: 'relaxed',
    outboxMaxEntries: 100,
    multipartMaxOpen: 1,
  });
  await catalog.upstream.setSource('test');
  const metrics = createOriginMetrics(createMetrics('origin'));
  let attempts = 0;
  /** Whether the object was in the catalog each time that everything was said to be. */
  const listedWith: boolean[] = [];
  const reflection = new Reflection({
    ...{ source, catalog, clock, metrics, rng: () => 0.5, rescanMs: 3_600_000, log: createLogger('origin', 'silent') },
    ingest: async (object) => {
      attempts += 1;
      if (attempts === 1) throw failure;
      return { sha256: 'a'.repeat(64), size: object.size, md5: 'b'.repeat(32) };
    },
    sayListed: () => {
      listedWith.push(catalog.find('site/a') !== undefined);
      return catalog.upstream.setListed();
    },
    isLister: async () => true,
    uploadDefaults: () => ({}),
  });
  source.put('site/a', contentOf(Buffer.from('a')));
  reflection.start();
  return {
    ...{ clock, catalog, reflection, listedWith },
    attempts: () => attempts,
    async [Symbol.asyncDispose]() {
      await reflection.stop();
      catalog.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('an object that could not be taken for no fault of its own is taken soon, and before that the source is not said to be listed', async () => {
  await using at = await scene(new Error('disk I/O error'));
  await eventually(() => {
    // It waits for its pause.
    at.clock.advance(1_000);
    expect(at.catalog.upstream.isListed).toBe(true);
  });
  expect([at.listedWith, at.attempts()]).toEqual([[true], 2]);
});

test('one that cannot be content as it is does not hold up the others, and is not read again before it changes', async () => {
  await using at = await scene(new UnusableObjectError({ key: 'site/a' }, 'a test says so'));
  await eventually(() => expect(at.catalog.upstream.isListed).toBe(true));
  at.reflection.hint({ all: true });
  const listed = at.reflection.listedAtMs;
  at.clock.advance(1_000);
  await eventually(() => expect(at.reflection.listedAtMs).not.toBe(listed));
  expect([at.attempts(), at.catalog.find('site/a')]).toEqual([1, undefined]);
});
