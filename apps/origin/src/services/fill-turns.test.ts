import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FillTurns } from './fill-turns.ts';

test('whatever comes and goes, no more are under way than may be, of no more bytes, and everybody gets a turn in the order of asking', async () => {
  const limits = { maxFills: 4, maxBytes: 100, maxWaiting: 1_000 };
  const law = fc.asyncProperty(fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), fc.nat(3)), { maxLength: 60 }), async (wanted) => {
    const turns = new FillTurns(limits);
    const order: number[] = [];
    await Promise.all(
      wanted.map(async ([bytes, ticks], index) => {
        const leave = await turns.take(bytes);
        order.push(index);
        const { load } = turns;
        expect(load.fills).toBeLessThanOrEqual(limits.maxFills);
        expect(load.bytes).toBeLessThanOrEqual(limits.maxBytes);
        for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
        leave();
      }),
    );
    expect(order).toEqual(wanted.map((_, index) => index));
    expect(turns.load).toEqual({ fills: 0, bytes: 0, waiting: 0 });
  });
  await fc.assert(law);
});

test('one that has more bytes than all may have together gets its turn alone', async () => {
  const turns = new FillTurns({ maxFills: 4, maxBytes: 100, maxWaiting: 10 });
  const leave = await turns.take(1_000);
  let isIn = false;
  const next = turns.take(1).then((left) => {
    isIn = true;
    left();
  });
  await Promise.resolve();
  expect(isIn).toBe(false);
  leave();
  await next;
});

test('ten times as many as may wait are refused, and stopping refuses the rest', async () => {
  const turns = new FillTurns({ maxFills: 1, maxBytes: 100, maxWaiting: 10 });
  await turns.take(1);
  const asked = Promise.allSettled(Array.from({ length: 110 }, () => turns.take(1)));
  expect(turns.load.waiting).toBe(10);
  turns.stop();
  const codes = (await asked).map((outcome) => (outcome as PromiseRejectedResult).reason.code);
  expect(codes.filter((code) => code === 'BUSY')).toHaveLength(100);
  expect(codes.filter((code) => code === 'SOURCE_AWAY')).toHaveLength(10);
  await expect(turns.take(1)).rejects.toMatchObject({ code: 'SOURCE_AWAY', retryable: true });
});
