import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Operate } from '@sluice/blobs';
import { type Link, SharedLog } from '@sluice/bus';
import { STREAMS } from '@sluice/contracts';
import { createLogger, systemClock } from '@sluice/runtime';
import { eventually, silentLog, temporaryDirectory, testBroker } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Catalog } from '../adapters/catalog/catalog.ts';
import { CatalogLog } from '../adapters/nats/catalog-log.ts';
import type { StoredObject } from '../domain/catalog-change.ts';
import { checksum, fields } from '../testing/catalog.fixture.ts';
import { CatalogBehindError, DROPPED_AT_ONCE_MAX, SharedOrder, WAITING_MAX } from './shared-order.ts';

const log = createLogger('origin', 'silent');
type Environment = Awaited<ReturnType<typeof testBroker>>;

interface Member extends AsyncDisposable {
  readonly catalog: Catalog;
  readonly order: SharedOrder;
}

/** The catalog of one origin, on a directory that may be one from before. */
async function member(
  environment: Environment,
  dir: string,
  where = { name: 'CATALOG', subjectPrefix: 'origin.catalog' },
  {
    operate,
    Log = SharedLog,
    Named = CatalogLog,
  }: { readonly operate?: Operate; readonly Log?: typeof SharedLog; readonly Named?: typeof CatalogLog } = {},
): Promise<Member> {
  const order = new SharedOrder({ catalog: () => catalog, clock: systemClock, log });
  const catalog = new Catalog({
    path: join(dir, 'catalog.db'),
    ...{ clock: systemClock, order, durability: 'relaxed', outboxMaxEntries: 10_000, multipartMaxOpen: 1 },
    ...(operate && { operate }),
  });
  if (catalog.upstream.source === undefined) await catalog.upstream.setSource('test');
  const bus = await environment.connect();
  order.start(new Named(new Log(bus, silentLog, where)));
  return {
    catalog,
    order,
    async [Symbol.asyncDispose]() {
      await order.stop();
      catalog.close();
      await bus.close();
    },
  };
}

/** Two origins of one catalog, which know that they have nothing yet. */
async function twoMembers() {
  await using cleanup = new AsyncDisposableStack();
  const environment = cleanup.use(await testBroker());
  const dir = cleanup.use(await temporaryDirectory());
  const one = cleanup.use(await member(environment, join(dir.path, 'one')));
  const other = cleanup.use(await member(environment, join(dir.path, 'other')));
  await Promise.all([one.order.catchUp(), other.order.catchUp()]);
  const kept = cleanup.move();
  return { environment, dir, one, other, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Brings a state of an object into a catalog, as somebody who has just looked at the source. */
function reflect({ catalog }: Member, key: string, state: string) {
  const revisions = { revision: state, bytesRevision: state };
  const content = { object: { key, size: 10, ...revisions }, fields: fields(), body: { sha256: checksum(state), size: 10, etag: state } };
  return catalog.sourced.reflect({ ...content, uploadedAt: '2026-01-01T00:00:00.000Z' }, catalog.sourced.find(key)?.revision);
}

/** Removes an object from a catalog, as somebody who has just missed it at the source. */
function gone({ catalog }: Member, key: string) {
  return catalog.sourced.remove(key, catalog.sourced.find(key)?.revision);
}

/** A log whose entries come to its follower when `mayCome` lets them. */
function heldLog(mayCome: () => Promise<void> | boolean): typeof SharedLog {
  return class extends SharedLog {
    override follow(options: Parameters<SharedLog['follow']>[0]) {
      const onEntry: typeof options.onEntry = async (entry) => {
        await mayCome();
        await options.onEntry(entry);
      };
      return super.follow({ ...options, onEntry });
    }
  };
}

/** Everything that a catalog says, in the order of versions. */
function feedOf({ catalog }: Member): unknown[] {
  const changes: unknown[] = [];
  for (let since = 0, done = false; !done; ) {
    const page = catalog.changes({ region: 'US', since, catalogId: catalog.id, listing: Number.MAX_SAFE_INTEGER });
    changes.push(...page.changes);
    since = page.next;
    done = page.done;
  }
  return changes;
}

describe('a catalog that several origins share', () => {
  test('whatever they do at the same time, all of them come to the same catalog, with one order of versions', async () => {
    await using environment = await testBroker();
    let runs = 0;
    const step = fc.record({ member: fc.nat(2), key: fc.nat(4), op: fc.constantFrom('reflect', 'reflect', 'remove', 'invalidate') });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 12 }), { maxLength: 4 }), async (bursts) => {
        runs += 1;
        const where = { name: `CATALOG${runs}`, subjectPrefix: `origin.catalog${runs}` };
        const dirs = await Promise.all([temporaryDirectory(), temporaryDirectory(), temporaryDirectory()]);
        const members = await Promise.all(dirs.map((dir) => member(environment, dir.path, where)));
        await Promise.all(members.map(({ order }) => order.catchUp()));
        let state = 0;
        for (const burst of bursts) {
          const work = burst.map(async (each) => {
            const one = members[each.member] as Member;
            const key = `site/${each.key}`;
            state += 1;
            try {
              if (each.op === 'reflect') await reflect(one, key, `s${state}`);
              else if (each.op === 'remove') await one.catalog.sourced.remove(key, one.catalog.sourced.find(key)?.revision);
              else await one.catalog.invalidate({ key }, 'stale');
            } catch (error) {
              expect(error).toMatchObject({ code: 'OVERTAKEN' });
            }
          });
          await Promise.all(work);
        }
        await Promise.all(members.map(({ order }) => order.catchUp()));
        const [first, ...others] = members.map(feedOf);
        for (const other of others) expect(other).toEqual(first);
        const versions = members.map(({ catalog }) => [catalog.id, catalog.lastVersion, catalog.upstream.position]);
        expect(new Set(versions.map(String)).size).toBe(1);
        // Who comes later and has nothing gets the same from the log alone.
        const late = await temporaryDirectory();
        const newcomer = await member(environment, late.path, where);
        await newcomer.order.catchUp();
        expect(feedOf(newcomer)).toEqual(first);
        for (const each of [...members, newcomer]) await each[Symbol.asyncDispose]();
        for (const dir of [...dirs, late]) await dir[Symbol.asyncDispose]();
      }),
      { numRuns: 12 },
    );
  });

  test('of two that found different states of an object at once, one is told that it was overtaken', async () => {
    await using both = await twoMembers();
    const { one, other } = both;
    const results = await Promise.allSettled([reflect(one, 'site/a', 'x'), reflect(other, 'site/a', 'y')]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await Promise.all([one.order.catchUp(), other.order.catchUp()]);
    const won = results[0]?.status === 'fulfilled' ? 'x' : 'y';
    for (const { catalog } of [one, other]) expect(catalog.sourced.find('site/a')?.revision).toBe(won);
  });

  test('a change is in the outbox of every origin that heard of it in time, as the same event; who comes later announces nothing old', async () => {
    await using both = await twoMembers();
    const { one, other } = both;
    await reflect(one, 'site/a', 'x');
    await other.order.catchUp();
    const eventsOf = ({ catalog }: Member) => catalog.outbox.oldest(10).map(({ eventId, payload }) => `${eventId} ${Buffer.from(payload)}`);
    expect(eventsOf(one)).toHaveLength(1);
    expect(eventsOf(other)).toEqual(eventsOf(one));
    expect(STREAMS.CONTENT.duplicateWindowMs).toBeGreaterThan(60_000);
  });

  test('once an origin has announced variants of its content, a key waits for them nowhere, whatever came of making them elsewhere', async () => {
    await using both = await twoMembers();
    const { one, other } = both;
    const sha256 = checksum('text');
    const object = { key: 'site/a', size: 10_000, revision: 'x', bytesRevision: 'x' };
    const content = { object, fields: fields(), body: { sha256, size: 10_000, etag: 'x' }, uploadedAt: '2026-01-01T00:00:00.000Z' };
    await one.catalog.sourced.reflect(content, undefined);
    await other.order.catchUp();
    const waiting = () => [one, other].map(({ catalog }) => catalog.variants.waitingCount);
    expect(waiting()).toEqual([1, 1]);
    await other.catalog.coding.record(sha256, ['br'], []);
    await one.catalog.coding.record(sha256, ['br'], [{ coding: 'br', sha256: checksum('br'), size: 1_000 }]);
    for (const key of one.catalog.variants.waiting(0, 10)) await one.catalog.coding.announce(key);
    await other.order.catchUp();
    expect(waiting()).toEqual([0, 0]);
    expect(other.catalog.find('site/a')?.manifest.variants).toHaveLength(1);
  });

  test('where the broker has lost the log, the catalog begins anew under another name and greater versions, and knows the bytes still', async () => {
    await using both = await twoMembers();
    const { environment, one, other } = both;
    await reflect(one, 'site/a', 'x');
    await one.order.sayListed();
    await other.order.catchUp();
    const before = { id: one.catalog.id, version: one.catalog.find('site/a')?.manifest.version ?? 0 };
    expect(other.catalog.upstream.isListed).toBe(true);
    await environment.broker.stop();
    await rm(environment.broker.storeDir, { recursive: true });
    await environment.broker.start();
    await eventually(() => {
      expect(one.catalog.id).not.toBe(before.id);
      expect(other.catalog.id).toBe(one.catalog.id);
    }, 20_000);
    expect([one.catalog.upstream.isListed, one.catalog.find('site/a'), one.catalog.objectCount]).toEqual([false, undefined, 0]);
    expect(one.catalog.sourced.bytesOf('site/a')).toMatchObject({ bytesRevision: 'x', sha256: checksum('x') });
    await eventually(() => reflect(one, 'site/a', 'x'), 20_000);
    await eventually(() => expect((other.catalog.find('site/a') as StoredObject).manifest.version).toBeGreaterThan(before.version), 20_000);
  });

  test('of a change whose place was not told nothing is passed over: it comes by the log, and those behind it do too', async () => {
    const LOST = 3;
    const held = Promise.withResolvers<void>();
    /** The answer to the third of what is sent gets lost on its way. */
    class ForgetfulLog extends heldLog(() => sent === 0 || held.promise) {
      override async append(token: string, data: Uint8Array, after: number, link?: Link): Promise<number | undefined> {
        const isLost = token.startsWith('key-') && ++sent === LOST;
        const position = await super.append(token, data, after, link);
        if (isLost) throw new Error('no answer');
        return position;
      }
    }
    let sent = 0;
    await using environment = await testBroker();
    await using dir = await temporaryDirectory();
    await using one = await member(environment, join(dir.path, 'one'), undefined, { Log: ForgetfulLog });
    await using other = await member(environment, join(dir.path, 'other'));
    await Promise.all([one.order.catchUp(), other.order.catchUp()]);
    const changes = Array.from({ length: 6 }, (_, index) => reflect(one, `site/${index + 1}`, `s${index + 1}`));
    const results = Promise.allSettled(changes);
    await Promise.allSettled(changes.slice(0, LOST));
    held.resolve();
    expect((await results).map(({ status }) => status)).toEqual(changes.map((_, index) => (index + 1 === LOST ? 'rejected' : 'fulfilled')));
    await Promise.all([one.order.catchUp(), other.order.catchUp()]);
    expect(one.catalog.find(`site/${LOST}`)).toBeDefined();
    expect(feedOf(one)).toEqual(feedOf(other));
  });

  test('a change that is in the log and that a full disk kept from the catalog comes into it when there is room again', async () => {
    await using environment = await testBroker();
    await using dir = await temporaryDirectory();
    const held = Promise.withResolvers<void>();
    let isFull = false;
    const operate: Operate = (_name, operation) => {
      if (isFull) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      return operation();
    };
    await using one = await member(environment, dir.path, undefined, { operate, Log: heldLog(() => !isFull || held.promise) });
    await one.order.catchUp();
    isFull = true;
    await expect(reflect(one, 'site/a', 'x')).rejects.toThrow();
    isFull = false;
    held.resolve();
    await eventually(() => expect(one.catalog.find('site/a')).toBeDefined(), 5_000);
    await reflect(one, 'site/b', 'y');
    expect(one.catalog.objectCount).toBe(2);
  });

  test('what can be no entry of the log is refused, and those beside it get their places', async () => {
    await using environment = await testBroker();
    await using dir = await temporaryDirectory();
    await using one = await member(environment, dir.path);
    await one.order.catchUp();
    const results = await Promise.allSettled([
      reflect(one, 'site/a', 'x'),
      reflect(one, 'site/b', 'y'.repeat(300)),
      reflect(one, 'site/c', 'z'),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'INVALID_MESSAGE' } });
  });

  test('a stop leaves nobody waiting: what has no place yet is refused, and so is what comes later', async () => {
    await using environment = await testBroker();
    await using dir = await temporaryDirectory();
    await using one = await member(environment, dir.path);
    await one.order.catchUp();
    const first = reflect(one, 'site/a', 'x');
    // On its way: those that come now wait for it.
    await Promise.resolve();
    const others = [reflect(one, 'site/b', 'y'), reflect(one, 'site/c', 'z')];
    const ends = Promise.allSettled([first, ...others]);
    await one.order.stop();
    expect((await ends).map(({ status }) => status).slice(1)).toEqual(['rejected', 'rejected']);
    await expect(reflect(one, 'site/d', 'x')).rejects.toThrow(CatalogBehindError);
  });

  /** Forgets all removals and invalidations, here and in the log. */
  const forgetAll = ({ catalog, order }: Member, meanwhile: () => Promise<unknown> = async () => {}): Promise<number> =>
    catalog.prune({ untilVersion: Number.MAX_SAFE_INTEGER, maxRows: 0 }, async (batch, position) => {
      await meanwhile();
      await order.forget(batch, position);
    });
  test('what one origin forgets is dropped from the log, but no key that came back meanwhile; all know what cannot be learned any more', async () => {
    await using both = await twoMembers();
    const { environment, dir, one, other } = both;
    for (const key of ['site/kept', 'site/gone', 'site/back']) await reflect(one, key, key);
    for (const key of ['site/gone', 'site/back']) await gone(one, key);
    await one.catalog.invalidate({ prefix: 'site/' }, 'stale');
    await one.catalog.invalidate({ all: true }, 'purge');
    const { lastVersion } = one.catalog;
    const comesBack = async (): Promise<void> => {
      await other.order.catchUp();
      await reflect(other, 'site/back', 'again');
      await one.order.catchUp();
    };
    expect(await forgetAll(one, comesBack)).toBe(4);
    // Once more does no harm, and neither does another origin that does the same.
    expect([await forgetAll(one), await forgetAll(other)]).toEqual([0, 3]);
    await using newcomer = await member(environment, join(dir.path, 'newcomer'));
    await newcomer.order.catchUp();
    const said = feedOf(newcomer).map((change) => (change as { manifest?: { key: string } }).manifest?.key);
    expect(said).toEqual(['site/kept', 'site/back']);
    await Promise.all([one.order.catchUp(), other.order.catchUp()]);
    for (const each of [one, other, newcomer]) {
      expect(feedOf(each)).toEqual(feedOf(newcomer));
      expect(each.catalog.horizon).toBe(lastVersion);
      expect(each.catalog.changes({ region: 'US', since: lastVersion - 1, catalogId: each.catalog.id }).reset).toBe(true);
    }
  });

  test('an origin that was away while removals were forgotten begins anew, and has nothing that is gone', async () => {
    await using environment = await testBroker();
    await using dir = await temporaryDirectory();
    await using one = await member(environment, join(dir.path, 'one'));
    const other = await member(environment, join(dir.path, 'other'));
    await Promise.all([one.order.catchUp(), other.order.catchUp()]);
    for (const key of ['site/kept', 'site/gone']) await reflect(one, key, key);
    await one.order.sayListed();
    await other.order.catchUp();
    await other[Symbol.asyncDispose]();
    await gone(one, 'site/gone');
    expect(await forgetAll(one)).toBe(1);
    await using back = await member(environment, join(dir.path, 'other'));
    await back.order.catchUp();
    expect([back.catalog.id, back.catalog.upstream.isListed, back.catalog.horizon]).toEqual([one.catalog.id, true, one.catalog.horizon]);
    expect(feedOf(back)).toEqual(feedOf(one));
    expect(back.catalog.sourced.bytesOf('site/kept')).toMatchObject({ bytesRevision: 'site/kept' });
  });

  test('a bounded number of entries is dropped at a time', async () => {
    await using environment = await testBroker();
    await using dir = await temporaryDirectory();
    let [underWay, most, dropped] = [0, 0, 0];
    class CountingLog extends CatalogLog {
      override async forget(...args: Parameters<CatalogLog['forget']>): Promise<void> {
        underWay += 1;
        most = Math.max(most, underWay);
        await super.forget(...args);
        underWay -= 1;
        dropped += 1;
      }
    }
    await using one = await member(environment, dir.path, undefined, { Named: CountingLog });
    await one.order.catchUp();
    const count = 10 * DROPPED_AT_ONCE_MAX;
    await Promise.all(Array.from({ length: count }, (_, index) => one.catalog.invalidate({ tag: `t${index}` }, 'stale')));
    expect(await forgetAll(one)).toBe(count);
    expect([most, dropped]).toEqual([DROPPED_AT_ONCE_MAX, count]);
  });

  test('changes that wait for the log are bounded: one more is refused with what to do', async () => {
    await using dir = await temporaryDirectory();
    const order = new SharedOrder({ catalog: () => catalog, clock: systemClock, log });
    const catalog = new Catalog({
      path: join(dir.path, 'catalog.db'),
      ...{ clock: systemClock, order, outboxMaxEntries: 10, multipartMaxOpen: 1 },
    });
    const waiting = Array.from({ length: WAITING_MAX }, () => order.place(() => undefined));
    await expect(order.place(() => undefined)).rejects.toThrow(CatalogBehindError);
    expect(order.waiting).toBe(WAITING_MAX);
    const ends = Promise.allSettled(waiting);
    await order.stop();
    expect(new Set((await ends).map(({ status }) => status))).toEqual(new Set(['rejected']));
    catalog.close();
  });
});

/** A log whose answers and entries come when `gate` opens. */
function slowLog(gate: () => Promise<void> | undefined): typeof SharedLog {
  return class extends heldLog(async () => gate()) {
    override async append(...entry: Parameters<SharedLog['append']>): Promise<number | undefined> {
      const position = await super.append(...entry);
      await gate();
      return position;
    }
  };
}

/** Text that is to have variants, under a key. */
function reflectText({ catalog }: Member, key: string, text: string) {
  const object = { key, size: 1_000, revision: key, bytesRevision: key };
  const content = { object, fields: fields(), body: { sha256: checksum(text), size: 1_000, etag: text } };
  return catalog.sourced.reflect({ ...content, uploadedAt: '2026-01-01T00:00:00.000Z' }, catalog.sourced.find(key)?.revision);
}

describe('keys that wait for variants', () => {
  test('one that was decided on before its content had them, and got its place after, is told of them, and waits nowhere for ever', async () => {
    await using environment = await testBroker();
    await using dir = await temporaryDirectory();
    let gate: Promise<void> | undefined;
    await using one = await member(environment, join(dir.path, 'one'), undefined, { Log: slowLog(() => gate) });
    await using other = await member(environment, join(dir.path, 'other'));
    await Promise.all([one.order.catchUp(), other.order.catchUp()]);
    await reflectText(one, 'site/a', 'same');
    const opened = Promise.withResolvers<void>();
    gate = opened.promise;
    const placed = reflectText(one, 'site/b', 'same');
    await eventually(() => expect(other.catalog.find('site/b')).toBeDefined());
    expect(one.catalog.find('site/b')).toBeUndefined();
    await one.catalog.coding.record(checksum('same'), ['br'], [{ coding: 'br', sha256: checksum('coded'), size: 100 }]);
    opened.resolve();
    gate = undefined;
    await placed;
    const waiting = one.catalog.variants.waiting(0, 10);
    expect(waiting.map(({ key }) => key)).toEqual(['site/a', 'site/b']);
    for (const key of waiting) await one.catalog.coding.announce(key);
    await other.order.catchUp();
    expect([one, other].map(({ catalog }) => catalog.variants.waitingCount)).toEqual([0, 0]);
    expect(other.catalog.find('site/b')?.manifest.variants).toMatchObject([{ coding: 'br' }]);
  });

  test('one that is removed, or gets content that has none, waits at no origin', async () => {
    await using both = await twoMembers();
    const { one, other } = both;
    for (const key of ['site/a', 'site/b']) await reflectText(one, key, key);
    await other.order.catchUp();
    expect([one, other].map(({ catalog }) => catalog.variants.waitingCount)).toEqual([2, 2]);
    await gone(one, 'site/a');
    await reflect(one, 'site/b', 'short');
    await other.order.catchUp();
    expect([one, other].map(({ catalog }) => catalog.variants.waitingCount)).toEqual([0, 0]);
  });
});
