import { access } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { eventually, FakeClock, temporaryDirectory, testBroker } from './mod.ts';

describe('testkit', () => {
  test('a fake clock runs what falls due, in order of time, also what is set meanwhile, and nothing that was cancelled', () => {
    const clock = new FakeClock(1_000);
    const ran: string[] = [];
    const note = (name: string) => (): void => void ran.push(`${name}@${clock.nowMs()}`);
    clock.after(30, note('c'));
    clock.after(10, () => {
      note('a')();
      clock.after(10, note('b'));
    });
    const cancel = clock.after(15, note('cancelled'));
    clock.after(31, note('later'));
    cancel();
    clock.advance(30);
    expect(ran).toEqual(['a@1010', 'b@1020', 'c@1030']);
    expect(clock.monotonicMs()).toBe(1_030);
  });

  test('eventually gives the first value that comes without a failure, and the last failure when none does', async () => {
    let attempts = 0;
    const probe = (): number => {
      attempts += 1;
      if (attempts < 3) throw new Error(`attempt ${attempts}`);
      return attempts;
    };
    expect(await eventually(probe)).toBe(3);
    await expect(eventually(() => Promise.reject(new Error('never')), 30)).rejects.toThrow('never');
  });

  test('directories and brokers end with their scope', async () => {
    let path = '';
    let url = '';
    {
      await using directory = await temporaryDirectory();
      path = directory.path;
      await using environment = await testBroker();
      url = environment.url;
      expect((await environment.connect()).connected).toBe(true);
      await access(path);
    }
    await expect(access(path)).rejects.toThrow('ENOENT');
    const { connect } = await import('node:net');
    const refused = new Promise((resolve) => connect(Number(new URL(url).port), '127.0.0.1').once('error', resolve));
    expect(await refused).toMatchObject({ code: 'ECONNREFUSED' });
  });
});
