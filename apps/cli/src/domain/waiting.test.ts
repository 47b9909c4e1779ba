import { describe, expect, test } from 'vitest';
import { CommandError, EXIT } from './failure.ts';
import { state } from './states.fixture.ts';
import { type WaitOptions, waitForDistribution } from './waiting.ts';

const AWAY = new CommandError(EXIT.UNREACHABLE, 'UNREACHABLE', 'cannot reach the controller');

/** A wait in which time passes only by sleeping and each question is answered by the next of `answers`, the last for ever. */
function scripted(answers: readonly (ReturnType<typeof state> | CommandError | undefined)[], deadlineMs = 60_000) {
  let nowMs = 0;
  let asked = 0;
  const delays: number[] = [];
  const options: WaitOptions = {
    async ask() {
      const answer = answers[Math.min(asked++, answers.length - 1)];
      if (answer instanceof CommandError) throw answer;
      return answer;
    },
    onState() {},
    async sleep(delayMs) {
      delays.push(delayMs);
      nowMs += delayMs;
    },
    monotonicMs: () => nowMs,
    deadlineMs,
  };
  return { run: () => waitForDistribution('e-1', options), delays, asked: () => asked, nowMs: () => nowMs };
}

const underWay = state({ status: 'distributing', complete: false });

describe('waiting for a distribution', () => {
  test('ends with the answer that it is distributed, also when the controller had not heard of it at first', async () => {
    const wait = scripted([undefined, underWay, state()]);
    expect((await wait.run())?.status).toBe('distributed');
    expect(wait.asked()).toBe(3);
  });

  test('asks often at first and twice a second later, and never sleeps past the deadline', async () => {
    const wait = scripted([underWay]);
    expect(await wait.run()).toEqual(underWay);
    expect(wait.delays[0]).toBe(30);
    expect(Math.max(...wait.delays)).toBe(500);
    expect(wait.nowMs()).toBe(60_000);
  });

  test('with no time at all it still looks once', async () => {
    const wait = scripted([undefined], 0);
    expect(await wait.run()).toBeUndefined();
    expect(wait.asked()).toBe(1);
  });

  test('goes on over a controller that restarts, but does not begin without one', async () => {
    expect((await scripted([underWay, AWAY, AWAY, state()]).run())?.status).toBe('distributed');
    await expect(scripted([AWAY, state()]).run()).rejects.toBe(AWAY);
  });

  test('an answer off the contract ends it at once', async () => {
    const strange = new CommandError(EXIT.FAILED, 'UNEXPECTED_ANSWER', 'strange');
    await expect(scripted([underWay, strange, state()]).run()).rejects.toBe(strange);
  });
});
