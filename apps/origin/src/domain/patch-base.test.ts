import { expect, test } from 'vitest';
import { patchBase } from './patch-base.ts';

const NEW = 'b'.repeat(64);
const OLD = 'a'.repeat(64);
const manifest = (size: number) => ({
  ...{ key: 'site/a', version: 2, sha256: NEW, size, contentType: 'text/plain', meta: {}, tags: [], regions: [] },
  uploadedAt: '2026-01-01T00:00:00.000Z',
});
const previous = (size: number, sha256 = OLD) => ({ version: 1, sha256, size, regions: [] });

test.each([
  ['held and of fitting size', manifest(10_000), previous(10_000), [OLD], true],
  ['not held', manifest(10_000), previous(10_000), ['c'.repeat(64)], false],
  ['held beside the new bytes', manifest(10_000), previous(10_000), [OLD, NEW], false],
  ['the same bytes', manifest(10_000), previous(10_000, NEW), [NEW], false],
  ['too small to be worth it', manifest(100), previous(100), [OLD], false],
  ['too large to be matched', manifest(10_000), previous(100_000_000), [OLD], false],
  ['absent', manifest(10_000), undefined, [OLD], false],
])('whether a patch is offered against a version before that is %s', (_, target, before, have, offered) => {
  expect(patchBase(target, before, have) !== undefined).toBe(offered);
});
