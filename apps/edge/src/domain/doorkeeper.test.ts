import { expect, test } from 'vitest';
import { Doorkeeper } from './doorkeeper.ts';

test('what comes for the second time passes, also when as much has come in between as it knows half of', () => {
  const door = new Doorkeeper(1024);
  expect([door.passes('site/a'), door.passes('site/a'), door.passes('site/a')]).toEqual([false, true, true]);
  const passed = Array.from({ length: 512 }, (_, number) => door.passes(`scan/${number}`)).filter(Boolean);
  expect(passed).toEqual([]);
  const again = Array.from({ length: 512 }, (_, number) => door.passes(`scan/${number}`)).filter(Boolean);
  expect(again.length).toBeGreaterThan(256);
});

test('what came long ago is forgotten', () => {
  const door = new Doorkeeper(16);
  for (let number = 0; number < 1_000; number += 1) door.passes(String(number));
  const passed = Array.from({ length: 900 }, (_, number) => door.passes(String(number))).filter(Boolean);
  expect(passed).toEqual([]);
});
