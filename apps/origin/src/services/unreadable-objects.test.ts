import { createHash } from 'node:crypto';
import { type Clock, Registry } from '@sluice/runtime';
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { createOriginMetrics } from '../adapters/metrics.ts';
import { catalogFixture } from '../testing/catalog.fixture.ts';
import { silent } from '../testing/origin.fixture.ts';
import { contentOf, ScriptedSource } from '../testing/scripted-source.fixture.ts';
import { Reflection, UNREADABLE_AFTER_MS } from './reflection.ts';
import { SourceAwayError } from './source-port.ts';

const SECOND_MS = 1_000;

/** Tells how long each pause is that begins on a clock. */
function pausesOf(clock: Clock) {
  let begun = Promise.withResolvers<number>();
  const after: Clock['after'] = (delayMs, callback) => {
    const cancel = clock.after(delayMs, callback);
    begun.resolve(delayMs);
    return cancel;
  };
  return {
    clock: { nowMs: () => clock.nowMs(), monotonicMs: () => clock.monotonicMs(), after },
    async take(): Promise<number> {
      const delayMs = await begun.promise;
      begun = Promise.withResolvers();
      return delayMs;
    },
  };
}

/** A source with objects of these keys, of which those that begin with `site/bad` cannot be read, and what lists it. */
async function scene(keys: readonly string[]) {
  const fixture = await catalogFixture();
  const { catalog, clock } = fixture;
  await catalog.upstream.setSource('test');
  const source = new ScriptedSource();
  source.onChunk = (key) => {
    if (key.startsWith('site/bad')) throw new SourceAwayError('scripted source', 'it may not be read');
  };
  for (const key of keys) source.put(key, contentOf(Buffer.from(key)));
  const metrics = createOriginMetrics(new Registry());
  const pauses = pausesOf(clock);
  const reflection = new Reflection({
    ...{ source, catalog, clock: pauses.clock, metrics, log: silent, rng: () => 0.5, rescanMs: 60 * SECOND_MS },
    ingest: async (object, opened) => {
      const [sha256, md5] = [createHash('sha256'), createHash('md5')];
      for await (const chunk of opened.chunks) for (const hash of [sha256, md5]) hash.update(chunk);
      return { sha256: sha256.digest('hex'), size: object.size, md5: md5.digest('hex') };
    },
    sayListed: () => catalog.upstream.setListed(),
    isLister: async () => true,
    uploadDefaults: () => ({}),
  });
  /** Lets time pass, from the end of a listing to the next. */
  const pass = async (ms: number) => {
    for (const end = clock.nowMs() + ms; clock.nowMs() < end; ) clock.advance(await pauses.take());
  };
  reflection.start();
  return {
    ...{ catalog, reflection, pass },
    async [Symbol.asyncDispose]() {
      await reflection.stop();
      await fixture[Symbol.asyncDispose]();
    },
  };
}

test('an object that cannot be read for minutes is left out, and does not keep all others from being listed', async () => {
  await using at = await scene(['site/a', 'site/b', 'site/bad']);
  await at.pass(UNREADABLE_AFTER_MS / 2);
  expect([at.catalog.objectCount, at.catalog.upstream.isListed]).toEqual([2, false]);
  await at.pass(UNREADABLE_AFTER_MS);
  await eventually(() => expect(at.catalog.upstream.isListed).toBe(true));
});

test('a source of which half cannot be read is away, however long that lasts', async () => {
  await using at = await scene(['site/a', 'site/bad']);
  await at.pass(3 * UNREADABLE_AFTER_MS);
  expect([at.catalog.objectCount, at.catalog.upstream.isListed]).toEqual([1, false]);
});
