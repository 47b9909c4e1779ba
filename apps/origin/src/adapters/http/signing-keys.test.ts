import { signingKey } from '@sluice/sigv4';
import { expect, test } from 'vitest';
import { SIGNING_KEYS_MAX, SigningKeys } from './signing-keys.ts';

const scope = (region: string) => ({ date: '20260101', region, service: 's3' });

test('a key that was derived is kept, and that of another secret is another one', () => {
  const keys = new SigningKeys();
  const first = keys.of('a', scope('x'));
  expect(keys.of('a', scope('x'))).toBe(first);
  expect(first.equals(signingKey('a', scope('x')))).toBe(true);
  expect(keys.of('b', scope('x')).equals(first)).toBe(false);
});

test('however many regions are named, no more than the bound are kept', () => {
  const keys = new SigningKeys();
  for (let index = 0; index < 10 * SIGNING_KEYS_MAX; index += 1) keys.of('a', scope(`region-${index}`));
  expect(keys.size).toBe(SIGNING_KEYS_MAX);
});
