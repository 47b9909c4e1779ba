import { tag } from '@sluice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pairOf, tagsOf, tagsOfHeader } from './object-tags.ts';

test.each([
  ['v41', { key: 'v41', value: '' }],
  ['env=prod', { key: 'env', value: 'prod' }],
  ['env=a=b', { key: 'env', value: 'a=b' }],
  ['=x', { key: '=x', value: '' }],
  ['x=', { key: 'x=', value: '' }],
])('the name %s is the pair %j', (name, pair) => {
  expect(pairOf(name)).toEqual(pair);
  expect(tagsOf([pair])).toEqual([name]);
});

test.each([
  [[{ key: '', value: '' }], 'must be 1 to 256'],
  [[{ key: 'a b', value: '' }], 'white space'],
  [[{ key: 'a', value: 'x,y' }], 'white space'],
  [[{ key: 'a=b', value: '' }], '"="'],
  [[{ key: 'a=b', value: 'c' }], '"="'],
  [[{ key: 'a', value: 'x'.repeat(255) }], 'must be 1 to 256'],
  [Array(2).fill({ key: 'a', value: '' }), 'once'],
  [Array.from({ length: 65 }, (_, index) => ({ key: `t${index}`, value: '' })), 'at most 64'],
])('%j is refused', (pairs, words) => {
  expect(() => tagsOf(pairs)).toThrow(expect.objectContaining({ code: 'InvalidTag', message: expect.stringContaining(words) }));
});

test('every name comes back from its pair, and every pair that is taken from its name', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '=', 'é', ' '), maxLength: 6 });
  fc.assert(
    fc.property(text, text, (key, value) => {
      if (tag.safeParse(key).success) expect(tagsOf([pairOf(key)])).toEqual([key]);
      try {
        expect(tagsOf([{ key, value }]).map(pairOf)).toEqual([{ key, value }]);
      } catch (error) {
        expect(error).toMatchObject({ code: 'InvalidTag' });
      }
    }),
  );
});

test('the header is coded as a query', () => {
  expect(tagsOfHeader('v41&env=prod&team=a%2Fb')).toEqual(['v41', 'env=prod', 'team=a/b']);
  expect(tagsOfHeader('')).toEqual([]);
  expect(() => tagsOfHeader('a=x+y')).toThrow(expect.objectContaining({ code: 'InvalidTag' }));
});
