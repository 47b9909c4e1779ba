import { type Change, isPlacedIn, type Manifest } from '@sluice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { body, type CatalogFixture, catalogFixture, fields } from '../../testing/catalog.fixture.ts';
import type { Catalog } from './catalog.ts';

const REGIONS = ['US', 'EU', 'IN'];

/** An edge's copy of the feed: applies pages as the contract says. */
class Replica {
  readonly held = new Map<string, Manifest>();
  readonly invalidations = new Set<string>();
  readonly region: string;
  since = 0;
  catalogId: string | undefined;
  /** The horizon with which it began to list everything. */
  listing: number | undefined;
  pages = 0;
  resets = 0;

  constructor(region: string) {
    this.region = region;
  }

  /** Reads on until done, or for `maxPages`. */
  catchUp(catalog: Catalog, maxPages = Number.POSITIVE_INFINITY): boolean {
    let listed: Set<string> | undefined;
    for (let page = 0; page < maxPages; page += 1) {
      const { region, since, catalogId, listing } = this;
      const reply = catalog.changes({ region, since, catalogId, listing });
      if (since === 0 || reply.reset) this.listing = reply.horizon;
      this.pages += 1;
      if (reply.reset) {
        this.resets += 1;
        listed = new Set();
      }
      for (const change of reply.changes) this.#apply(change, listed);
      this.since = reply.next;
      this.catalogId = reply.catalogId;
      if (!reply.done) continue;
      this.listing = undefined;
      if (listed !== undefined) for (const key of this.held.keys()) if (!listed.has(key)) this.held.delete(key);
      return true;
    }
    return false;
  }

  #apply(change: Change, listed: Set<string> | undefined): void {
    if (change.op === 'store') {
      this.held.set(change.manifest.key, change.manifest);
      listed?.add(change.manifest.key);
    } else if (change.op === 'remove') this.held.delete(change.key);
    else this.invalidations.add(JSON.stringify(change));
  }

  versions(): Record<string, number> {
    return Object.fromEntries([...this.held].map(([key, { version }]) => [key, version]).sort());
  }
}

type Step =
  | { op: 'put'; key: string; regions: string[] }
  | { op: 'remove'; key: string }
  | { op: 'invalidate'; prefix: string }
  | { op: 'read'; replica: number }
  | { op: 'prune' }
  | { op: 'tick' };

const key = fc.constantFrom('site/a', 'site/b', 'site/c', 'site/d');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('put' as const), key, regions: fc.subarray(REGIONS) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('remove' as const), key }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('invalidate' as const), prefix: fc.constantFrom('site/', 'img/') }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('read' as const), replica: fc.nat(REGIONS.length - 1) }) },
  { weight: 1, arbitrary: fc.constant({ op: 'prune' as const }) },
  { weight: 1, arbitrary: fc.constant({ op: 'tick' as const }) },
);

async function take(next: Step, { catalog, clock }: CatalogFixture, replicas: Replica[], expected: Map<string, string[]>): Promise<void> {
  switch (next.op) {
    case 'put':
      await catalog.put(next.key, fields(next.regions), body('a'));
      expected.set(next.key, next.regions);
      break;
    case 'remove':
      await catalog.remove(next.key);
      expected.delete(next.key);
      break;
    case 'invalidate':
      await catalog.invalidate({ prefix: next.prefix }, 'stale');
      break;
    case 'read':
      replicas[next.replica]?.catchUp(catalog);
      break;
    case 'prune':
      await catalog.prune({ untilVersion: catalog.lastVersion, maxRows: 1_000 });
      break;
    case 'tick':
      clock.advance(1);
  }
}

describe('change feed', () => {
  test('whatever happens and whenever it is read, a reader that catches up has the catalog of its region', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        await using fixture = await catalogFixture();
        const replicas = REGIONS.map((region) => new Replica(region));
        const expected = new Map<string, string[]>();
        for (const next of steps) await take(next, fixture, replicas, expected);
        for (const replica of replicas) {
          replica.catchUp(fixture.catalog);
          const keys = [...expected].filter(([, regions]) => isPlacedIn(regions, replica.region)).map(([name]) => name);
          const versions = keys.map((name) => [name, fixture.catalog.find(name)?.manifest.version]);
          expect(replica.versions()).toEqual(Object.fromEntries(versions.sort()));
          expect(replica.since).toBe(fixture.catalog.lastVersion);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('many entries come in pages, oldest first, each once, bounded also when none concerns the reader', async () => {
    await using fixture = await catalogFixture();
    await Promise.all(Array.from({ length: 1_700 }, (_, index) => fixture.catalog.put(`site/${index}`, fields(['US']), body('a'))));
    const us = new Replica('US');
    us.catchUp(fixture.catalog);
    expect(us.held.size).toBe(1_700);
    expect(us.pages).toBe(14);
    const eu = new Replica('EU');
    eu.catchUp(fixture.catalog);
    expect(eu.held.size).toBe(0);
    expect(eu.since).toBe(fixture.catalog.lastVersion);
    const { changes, done, next } = fixture.catalog.changes({ region: 'US', since: 0 });
    expect(done).toBe(false);
    const versions = changes.map((change) => (change.op === 'store' ? change.manifest.version : 0));
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
    expect(next).toBe(versions.at(-1));
  });

  test('a page has at most half of the bytes of a message, whatever the manifests hold', async () => {
    await using fixture = await catalogFixture();
    const large = {
      ...fields(),
      meta: Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`m${index}`, '\u00ff'.repeat(1_000)])),
    };
    await Promise.all(Array.from({ length: 30 }, (_, index) => fixture.catalog.put(`site/${index}`, large, body('a'))));
    const replica = new Replica('US');
    const { changes, done } = fixture.catalog.changes({ region: 'US', since: 0 });
    expect(Buffer.byteLength(JSON.stringify(changes))).toBeLessThanOrEqual(512 * 1024 + 2);
    expect(done).toBe(false);
    replica.catchUp(fixture.catalog);
    expect(replica.held.size).toBe(30);
  });

  test('a reader that was away for longer than removals are remembered starts over, once, and loses what was removed', async () => {
    await using fixture = await catalogFixture();
    await Promise.all(Array.from({ length: 1_200 }, (_, index) => fixture.catalog.put(`site/${index}`, fields(), body('a'))));
    const replica = new Replica('US');
    replica.catchUp(fixture.catalog);
    await fixture.catalog.remove('site/7');
    await fixture.catalog.put('site/new', fields(), body('b'));
    await fixture.catalog.prune({ untilVersion: fixture.catalog.lastVersion, maxRows: 1_000 });
    expect(replica.held.has('site/7')).toBe(true);
    replica.catchUp(fixture.catalog);
    expect(replica.resets).toBe(1);
    expect(replica.held.has('site/7')).toBe(false);
    expect(replica.held.size).toBe(1_200);
  });

  test('a reader that stopped on its way and comes back after more was forgotten starts over', async () => {
    await using fixture = await catalogFixture();
    await Promise.all(Array.from({ length: 1_200 }, (_, index) => fixture.catalog.put(`site/${index}`, fields(), body('a'))));
    const replica = new Replica('US');
    expect(replica.catchUp(fixture.catalog, 1)).toBe(false);
    await fixture.catalog.remove('site/7');
    await fixture.catalog.prune({ untilVersion: fixture.catalog.lastVersion, maxRows: 1_000 });
    replica.catchUp(fixture.catalog);
    expect(replica.resets).toBe(1);
    expect(replica.held.has('site/7')).toBe(false);
  });

  test('a listing that one origin began another of the same catalog goes on with', async () => {
    await using fixture = await catalogFixture();
    await Promise.all(Array.from({ length: 200 }, (_, index) => fixture.catalog.put(`site/${index}`, fields(), body('a'))));
    await fixture.catalog.remove('site/7');
    await fixture.catalog.prune({ untilVersion: fixture.catalog.lastVersion, maxRows: 1_000 });
    const replica = new Replica('US');
    expect(replica.catchUp(fixture.catalog, 1)).toBe(false);
    // Another process on the same rows: it has handed out nothing yet.
    fixture.reopen();
    replica.catchUp(fixture.catalog);
    expect(replica.resets).toBe(0);
    expect(replica.held.size).toBe(199);
  });

  test('a reader of another catalog starts over', async () => {
    await using fixture = await catalogFixture();
    await fixture.catalog.put('site/a', fields(), body('a'));
    const { lastVersion } = fixture.catalog;
    expect(fixture.catalog.changes({ region: 'US', since: lastVersion, catalogId: 'other' })).toMatchObject({ reset: true, done: true });
    const same = { region: 'US', since: lastVersion, catalogId: fixture.catalog.id };
    expect(fixture.catalog.changes(same)).toMatchObject({ reset: false, done: true, changes: [], next: lastVersion });
  });

  test('pruning keeps the newest rows up to the bound, forgets the oldest first and says how far', async () => {
    await using fixture = await catalogFixture();
    for (let index = 0; index < 20; index += 1) await fixture.catalog.invalidate({ tag: `t${index}` }, 'stale');
    const before = fixture.catalog.changes({ region: 'US', since: 0 }).changes;
    expect(await fixture.catalog.prune({ untilVersion: 0, maxRows: 5 })).toBe(15);
    expect(await fixture.catalog.prune({ untilVersion: 0, maxRows: 5 })).toBe(0);
    expect(fixture.catalog.changes({ region: 'US', since: 0 }).changes).toEqual(before.slice(15));
    const since = (index: number) => (before[index] as { version: number }).version;
    const reset = (index: number) => fixture.catalog.changes({ region: 'US', since: since(index), catalogId: fixture.catalog.id }).reset;
    expect([reset(13), reset(14), reset(15)]).toEqual([true, false, false]);
    fixture.reopen();
    expect(reset(13)).toBe(true);
  });
});
