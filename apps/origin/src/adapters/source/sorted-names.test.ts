import { expect, test } from 'vitest';
import { SortedNames } from './sorted-names.ts';

test('more names than are sorted at a time come once each, in the order of their bytes', () => {
  const names = new SortedNames();
  const given = Array.from({ length: 30_001 }, (_, at) => `${(at * 7_919) % 30_001}${at % 2 === 0 ? '\u{1f600}' : '\uff5e'}`);
  for (const name of given) names.add(name);
  expect([...names]).toEqual([...given].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  expect([...new SortedNames()]).toEqual([]);
});
