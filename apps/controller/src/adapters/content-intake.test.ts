import type { ConsumeOptions, DurableMessage, Streams } from '@sluice/bus';
import { type ContentDistributed, SluiceError } from '@sluice/contracts';
import { createMetrics, type Logger } from '@sluice/runtime';
import { FakeClock, silentLog } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import type { ContentEvent } from '../domain/content-event.ts';
import type { Distribution } from '../domain/distribution.ts';
import { createControllerMetrics } from '../metrics.ts';
import type { Disposition } from '../services/distributor.ts';
import { ContentIntake } from './content-intake.ts';
import { OutcomeJournal } from './outcome-journal.ts';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const UPLOADED = { id: 'e-1', key: 'site/a', version: 3 };

/** An intake whose stream and distributor the test plays; the real ones are in the integration tests. */
function stage() {
  const clock = new FakeClock();
  const published: { subject: string; id: string; message: object }[] = [];
  const distributing: { event: ContentEvent; distribution: Distribution; end: (disposition: Disposition) => void }[] = [];
  let deliver: (message: DurableMessage) => void = () => {};
  let publishError: Error | undefined;
  const options: ConsumeOptions[] = [];
  const byOthers: ContentDistributed[] = [];
  const streams = {
    read: async (_stream: unknown, _event: unknown, { after }: { after: number }) => ({
      messages: byOthers.slice(after),
      upTo: byOthers.length,
    }),
    consume(consumeOptions: ConsumeOptions, handler: typeof deliver) {
      options.push(consumeOptions);
      deliver = handler;
      return { consuming: true, stop: () => Promise.resolve() };
    },
    publish(event: { subject: string }, message: object, id: string) {
      if (publishError !== undefined) return Promise.reject(publishError);
      published.push({ subject: event.subject, id, message });
      return Promise.resolve();
    },
  };
  const journal = new OutcomeJournal();
  const intake = new ContentIntake(
    { maxPending: 5_000, ackWaitMs: 30_000 },
    {
      streams: streams as unknown as Streams,
      distributor: { distribute: (event, distribution) => new Promise((end) => distributing.push({ event, distribution, end })) },
      journal,
      metrics: createControllerMetrics(createMetrics('controller')),
      log: silentLog as unknown as Logger,
      clock,
      rng: () => 1,
    },
  );
  intake.start();
  let sequence = 0;
  return {
    intake,
    clock,
    journal,
    published,
    distributing,
    options,
    /** Another controller answers an event, and this one does not hear it. */
    answerElsewhere(id: string) {
      byOthers.push({ id, edges: [] as ContentDistributed['edges'] } as ContentDistributed);
    },
    failPublishing(error: Error | undefined) {
      publishError = error;
    },
    /** Delivers a message; what became of it is written down in the array returned. */
    give(content: unknown, fields: Partial<DurableMessage> = {}): string[] {
      const log: string[] = [];
      sequence += 1;
      deliver({
        subject: 'content.uploaded',
        data: Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
        sequence,
        storedAtMs: 7,
        id: undefined,
        delivery: 1,
        ack: () => log.push('ack'),
        retryIn: (delayMs) => log.push(`retry in ${delayMs}`),
        working: () => log.push('working'),
        ...fields,
      });
      return log;
    },
  };
}

describe('content intake', () => {
  test('an event is acknowledged after its outcome is stored, under an id that two controllers share', async () => {
    const { give, distributing, published, journal, options } = stage();
    expect(options).toMatchObject([{ durable: 'controller', maxPending: 5_000, ackWaitMs: 30_000 }]);
    const log = give(UPLOADED);
    await tick();
    expect([log, published]).toEqual([[], []]);
    distributing[0]?.end({ kind: 'distributed' });
    await tick();
    expect(published).toMatchObject([{ subject: 'content.distributed', id: 'distributed-e-1', message: { id: 'e-1', subject: 'site/a' } }]);
    expect(log).toEqual(['ack']);
    expect(journal.has('e-1')).toBe(true);
  });

  test('an outcome that could not be stored leaves the event for later', async () => {
    const { give, distributing, failPublishing, intake } = stage();
    failPublishing(new SluiceError('BROKER_AWAY', 'away', { retryable: true }));
    const log = give(UPLOADED, { delivery: 3 });
    await tick();
    distributing[0]?.end({ kind: 'distributed' });
    await tick();
    expect(log).toEqual(['retry in 1000']);
    expect(intake.size).toBe(0);
  });

  test('work that cannot be done now is put back for longer each time', async () => {
    const { give, distributing } = stage();
    const logs = [1, 2, 50].map((delivery) => give({ ...UPLOADED, id: `e-${delivery}` }, { delivery }));
    await tick();
    for (const { end } of distributing) end({ kind: 'later', error: new Error('no origin') });
    await tick();
    expect(logs).toEqual([['retry in 250'], ['retry in 500'], ['retry in 30000']]);
  });

  test('an event that has its outcome is acknowledged and not distributed again', async () => {
    const { give, distributing } = stage();
    give(UPLOADED);
    distributing[0]?.end({ kind: 'distributed' });
    await tick();
    expect(give(UPLOADED)).toEqual(['ack']);
    expect(distributing).toHaveLength(1);
  });

  test('an event that is delivered again, and has an outcome from a controller that this one did not hear, is acknowledged and pushed to nobody', async () => {
    const { give, distributing, answerElsewhere, published } = stage();
    answerElsewhere('e-1');
    const log = give(UPLOADED, { delivery: 2 });
    await tick();
    expect([log, distributing, published]).toEqual([['ack'], [], []]);
  });

  test.each([
    ['was paused for longer than the broker waits', ({ clock }: ReturnType<typeof stage>) => clock.skip(30_000)],
    ['had lost its connection', ({ intake }: ReturnType<typeof stage>) => intake.doubtAll()],
  ])('a controller that %s sends no second outcome, however much later', async (_what, fall) => {
    const at = stage();
    const log = at.give(UPLOADED);
    fall(at);
    at.answerElsewhere('e-1');
    at.clock.advance(10_000);
    at.distributing[0]?.end({ kind: 'distributed' });
    await tick();
    expect(at.published).toEqual([]);
    expect(log.at(-1)).toBe('ack');
    // And one that nobody else has answered gets its outcome all the same.
    at.give({ ...UPLOADED, id: 'e-2' });
    fall(at);
    at.distributing[1]?.end({ kind: 'distributed' });
    await tick();
    expect(at.published).toMatchObject([{ id: 'distributed-e-2' }]);
  });

  test('an event delivered again while in work waits for the same end', async () => {
    const { give, distributing, published } = stage();
    const logs = [give(UPLOADED), give(UPLOADED)];
    distributing[0]?.end({ kind: 'distributed' });
    await tick();
    expect(distributing).toHaveLength(1);
    expect(published).toHaveLength(1);
    expect(logs).toEqual([['ack'], ['ack']]);
  });

  test('the same message delivered a hundred times is held once', async () => {
    const { give, distributing } = stage();
    const logs = Array.from({ length: 100 }, () => give(UPLOADED, { sequence: 9 }));
    distributing[0]?.end({ kind: 'distributed' });
    await tick();
    expect(logs.flat()).toEqual(['ack']);
    expect(logs.at(-1)).toEqual(['ack']);
  });

  test('while it is in work the broker hears so, three times in the time that it waits', () => {
    const { give, clock } = stage();
    const log = give(UPLOADED);
    clock.advance(30_000);
    expect(log).toEqual(['working', 'working', 'working']);
  });

  test('what nobody can use is rejected with the beginning of what came, then acknowledged', async () => {
    const { give, distributing, published } = stage();
    const unknown = give(UPLOADED);
    distributing[0]?.end({ kind: 'rejected', reason: 'key: unknown' });
    const unnamed = give({ key: 'site/a', version: 3, padding: '€'.repeat(5_000) }, { sequence: 8 });
    await tick();
    expect(published).toMatchObject([
      { id: 'rejected-content-8-7', message: { by: 'controller', subject: 'content.uploaded' } },
      { id: 'rejected-e-1', message: { id: 'e-1', reason: 'key: unknown', payload: JSON.stringify(UPLOADED) } },
    ]);
    expect(published[0]).toHaveProperty('message.payload.length', 1_024);
    expect([unknown, unnamed]).toEqual([['ack'], ['ack']]);
  });

  test('what is the origin’s to handle is acknowledged silently', () => {
    const { give, distributing, published } = stage();
    expect([give('{'), give({ key: 'site/a' })]).toEqual([['ack'], ['ack']]);
    expect([distributing, published]).toEqual([[], []]);
  });

  test('a stop waits for what is in work, gives back the rest, and what ends later announces nothing', async () => {
    const { intake, give, distributing, published, clock } = stage();
    const [quick, slow] = [give(UPLOADED), give({ ...UPLOADED, id: 'e-2' })];
    const stopping = intake.stop(5_000);
    await tick();
    expect(give({ ...UPLOADED, id: 'e-3' })).toEqual(['retry in 0']);
    distributing[0]?.end({ kind: 'distributed' });
    await tick();
    clock.advance(5_000);
    await stopping;
    distributing[1]?.end({ kind: 'distributed' });
    await tick();
    expect([quick, slow]).toEqual([['ack'], ['retry in 0']]);
    expect(published.map(({ id }) => id)).toEqual(['distributed-e-1']);
    clock.advance(60_000);
    expect(slow).toEqual(['retry in 0']);
  });
});
