import { expect, test } from 'vitest';
import { KeyLock } from './key-lock.ts';

test('work on one key runs in order also after a failure, other keys do not wait, and keys without work are forgotten', async () => {
  const lock = new KeyLock();
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = lock.run('a', async () => {
    await gate.promise;
    order.push('first');
    throw new Error('first failed');
  });
  const second = lock.run('a', async () => order.push('second'));
  const third = lock.run('a', async () => order.push('third'));
  await lock.run('b', async () => order.push('other'));
  expect(order).toEqual(['other']);
  expect(lock.size).toBe(1);
  gate.resolve();
  await expect(first).rejects.toThrow('first failed');
  await Promise.all([second, third]);
  expect(order).toEqual(['other', 'first', 'second', 'third']);
  expect(lock.size).toBe(0);
});
