import { FakeClock } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { Interrupts } from './interrupts.ts';

test('the first Ctrl-C ends in order and a second one at once, but the echo of one under npm is no second one', async () => {
  const clock = new FakeClock(0);
  const calls: string[] = [];
  let signal: () => void = () => {};
  const io = {
    monotonicMs: () => clock.monotonicMs(),
    onInterrupt(listener: () => void) {
      signal = listener;
      return () => calls.push('unlistened');
    },
  };
  const interrupts = new Interrupts(io, { first: () => calls.push('first'), again: () => calls.push('again') });
  signal();
  await interrupts.interrupted;
  clock.advance(20);
  signal();
  expect(calls).toEqual(['first']);
  clock.advance(400);
  signal();
  interrupts.stop();
  expect(calls).toEqual(['first', 'again', 'unlistened']);
});
