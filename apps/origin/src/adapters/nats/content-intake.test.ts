import { type DurableMessage, Streams } from '@sluice/bus';
import { SluiceError } from '@sluice/contracts';
import { Registry } from '@sluice/runtime';
import { eventually, FakeClock, silentLog, testBroker } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { SourceAwayError, UnusableObjectError } from '../../services/source-port.ts';
import { body, catalogFixture, fields } from '../../testing/catalog.fixture.ts';
import { silent } from '../../testing/origin.fixture.ts';
import { createOriginMetrics } from '../metrics.ts';
import { StoreSource } from '../source/store-source.ts';
import { type Announcer, StoreAnnouncer } from './announcer.ts';
import { ContentIntake, PENDING_MAX } from './content-intake.ts';

async function intakeFixture(announcer?: Announcer) {
  const fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(), body('a'));
  void fixture.catalog.settle(fixture.catalog.outbox.oldest(10));
  const rejected: string[] = [];
  const reasons: string[] = [];
  const state = { failing: false, takesPurges: true };
  const ended: string[] = [];
  const intake = new ContentIntake({
    streams: {
      consume: () => ({ consuming: true, stop: async () => {} }),
      publish: async (_event, message, id) => {
        if (state.failing) throw new SluiceError('BROKER_AWAY', 'away', { retryable: true });
        rejected.push(id);
        reasons.push(String((message as { reason?: unknown }).reason));
      },
    },
    catalog: fixture.catalog,
    takesPurges: () => state.takesPurges,
    announcer: announcer ?? new StoreAnnouncer(new StoreSource({ catalog: fixture.catalog, blobs: {} as never }), fixture.catalog),
    clock: new FakeClock(),
    metrics: createOriginMetrics(new Registry()),
    log: silent,
  });
  const message = (subject: string, data: string | Uint8Array, sequence = 1): DurableMessage => ({
    ...{ subject, data: Buffer.from(data), sequence, storedAtMs: 5, delivery: 1, id: undefined, working: () => {} },
    ack: () => ended.push('ack'),
    retryIn: () => ended.push('retry'),
  });
  return {
    ...{ intake, message, rejected, reasons, ended, state, catalog: fixture.catalog },
    announced: () => fixture.catalog.outbox.oldest(100).map(({ eventId }) => eventId),
    [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose](),
  };
}

test('a message delivered again is announced once; the same sequence of a stream made anew is another message', async () => {
  await using fixture = await intakeFixture();
  const first = fixture.message('content.uploaded', '{"key":"site/a"}');
  await fixture.intake.take(first);
  await fixture.intake.take({ ...first, delivery: 2 });
  expect(fixture.announced()).toHaveLength(1);
  await fixture.intake.take({ ...first, storedAtMs: 6 });
  expect(fixture.announced()).toHaveLength(2);
  expect(fixture.ended).toEqual(['ack', 'ack', 'ack']);
});

test('a rejection that cannot be published is not acknowledged, and has the same id when it comes again', async () => {
  await using fixture = await intakeFixture();
  const bad = fixture.message('content.uploaded', 'bad');
  fixture.state.failing = true;
  await fixture.intake.take(bad);
  expect(fixture.ended).toEqual(['retry']);
  fixture.state.failing = false;
  await fixture.intake.take(bad);
  await fixture.intake.take(bad);
  expect(fixture.ended).toEqual(['retry', 'ack', 'ack']);
  expect(new Set(fixture.rejected).size).toBe(1);
});

test('an object that can be no content as it is is rejected with the reason; what may pass comes again', async () => {
  const reasons = [
    new UnusableObjectError({ key: 'site/a' }, 'it is archived'),
    new SourceAwayError('bucket b', 'it is too busy'),
    new SluiceError('CATALOG_BEHIND', 'ask again later', { retryable: true }),
  ];
  const refuse = async (): Promise<never> => {
    throw reasons.shift();
  };
  await using fixture = await intakeFixture({ announce: refuse, has: refuse });
  await fixture.intake.take(fixture.message('content.uploaded', '{"key":"site/a"}'));
  await fixture.intake.take(fixture.message('content.uploaded', '{"key":"site/a"}', 2));
  await fixture.intake.take(fixture.message('content.invalidated', '{"key":"site/a"}', 3));
  expect([fixture.ended, fixture.rejected.length]).toEqual([['ack', 'retry', 'retry'], 1]);
});

test('a megabyte of bytes that are no text is rejected like anything else', async () => {
  await using fixture = await intakeFixture();
  await fixture.intake.take(fixture.message('content.uploaded', Buffer.alloc(1024 * 1024, 0xff)));
  expect([fixture.ended, fixture.rejected.length]).toEqual([['ack'], 1]);
});

test('announcements pass by without a trace, forged ones too', async () => {
  await using fixture = await intakeFixture();
  const { lastVersion } = fixture.catalog;
  await fixture.intake.take(fixture.message('content.uploaded', '{"key":"site/forged","version":99999999999999}'));
  await fixture.intake.take(fixture.message('content.invalidated', '{"all":true,"version":3}', 2));
  await fixture.intake.take(fixture.message('content.removed', '{"id":"x","key":"site/a","version":3}', 3));
  expect([fixture.ended.length, fixture.announced(), fixture.rejected, fixture.catalog.lastVersion]).toEqual([3, [], [], lastVersion]);
});

test('the end waits for what is under way and takes nothing more', async () => {
  await using fixture = await intakeFixture();
  const taken = fixture.intake.take(fixture.message('content.uploaded', '{"key":"site/a"}'));
  await fixture.intake.stop();
  expect(fixture.ended).toEqual(['ack']);
  await taken;
  await fixture.intake.take(fixture.message('content.uploaded', '{"key":"site/a"}', 2));
  expect([fixture.ended.length, fixture.announced().length]).toEqual([1, 1]);
});

test('of more requests than may be in work at once the rest wait in the stream, and each gets its turn', async () => {
  await using environment = await testBroker();
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.put('site/a', fields(), body('a'));
  const bus = await environment.connect();
  const streams = new Streams(bus, silentLog);
  await streams.ensure();
  const surplus = 20;
  for (let count = 0; count < PENDING_MAX + surplus; count++) bus.connection.publish('content.uploaded', '{"key":"site/a"}');
  await bus.flush();

  const begun: (() => void)[] = [];
  const intake = new ContentIntake({
    streams,
    catalog,
    takesPurges: () => true,
    announcer: { announce: () => new Promise((resolve) => begun.push(() => resolve('repeated'))), has: async () => true },
    clock: new FakeClock(),
    metrics: createOriginMetrics(new Registry()),
    log: silent,
  });
  const consumer = async (): Promise<object> => (await bus.connection.request('$JS.API.CONSUMER.INFO.CONTENT.origin-intake')).json();
  for (let ended = 0; ended <= surplus; ended++) {
    await eventually(() => expect(begun).toHaveLength(PENDING_MAX + ended));
    expect(await consumer()).toMatchObject({ num_ack_pending: PENDING_MAX, num_pending: surplus - ended });
    begun[ended]?.();
  }
  for (const end of begun) end();
  await eventually(async () => expect(await consumer()).toMatchObject({ num_ack_pending: 0, num_pending: 0 }));
  await intake.stop();
});

test('an origin that does not trust the broker takes no purge from it and says where to ask, and an invalidation as ever', async () => {
  await using fixture = await intakeFixture();
  fixture.state.takesPurges = false;
  await fixture.intake.take(fixture.message('content.invalidated', '{"all":true,"mode":"purge"}', 1));
  await fixture.intake.take(fixture.message('content.invalidated', '{"all":true}', 2));
  expect(fixture.reasons).toEqual([expect.stringMatching(/^mode: .*POST \/-\/invalidations/)]);
  expect(fixture.announced()).toHaveLength(1);
  expect(fixture.ended).toEqual(['ack', 'ack']);
});
