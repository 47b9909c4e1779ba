import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkSignedUrl, redactSignature, type Scope, signedQuery } from './signed-url.ts';

const NOW = 1_800_000_000;
const current = { id: 'k2', secret: randomBytes(32) };
const former = { id: 'k1', secret: randomBytes(32) };
const keys = [current, former];
const film: Scope = { kind: 'path', path: '/private/film.mp4' };
const check = (path: string, query: string, site = 'www', now = NOW) => checkSignedUrl(site, path, query, keys, now);

test('a signed path is granted until it expires, to its site and its path alone', () => {
  for (const key of keys) {
    const query = signedQuery('www', film, NOW + 60, key);
    expect(check('/private/film.mp4', query)).toBe('granted');
    expect(check('/private/film.mp4', `v=1&${query}&x=2`)).toBe('granted');
    expect(check('/private/film.mp4', query, 'www', NOW + 59)).toBe('granted');
    expect(check('/private/film.mp4', query, 'www', NOW + 60)).toBe('expired');
    expect(check('/private/film.mp4', query, 'other')).toBe('refused');
    for (const path of ['/private/film.mp3', '/private/film.mp4/', '/private/', '/']) expect(check(path, query)).toBe('refused');
  }
});

test('a signed directory grants what is below it, and nothing beside it', () => {
  const query = signedQuery('www', { kind: 'prefix', prefix: '/private/' }, NOW + 60, current);
  for (const path of ['/private/', '/private/a', '/private/b/c.ts']) expect(check(path, query)).toBe('granted');
  for (const path of ['/private', '/privateer/a', '/public/a', '/']) expect(check(path, query)).toBe('refused');
});

test('a key that is no longer there opens nothing', () => {
  const query = signedQuery('www', film, NOW + 60, { id: 'k0', secret: former.secret });
  expect(check('/private/film.mp4', query)).toBe('refused');
  expect(checkSignedUrl('www', '/private/film.mp4', signedQuery('www', film, NOW + 60, former), [current], NOW)).toBe('refused');
});

test('without a signature a request is unsigned, whatever else it has', () => {
  for (const query of ['', '?', 'v=1', 'sluice-expires=9999999999999&sluice-key=k1'])
    expect(check('/private/film.mp4', query)).toBe('unsigned');
});

test('a query of which anything is changed grants nothing', () => {
  const query = signedQuery('www', film, NOW + 60, current);
  const other = signedQuery('www', { kind: 'path', path: '/b' }, NOW + 60, current);
  const signature = new URLSearchParams(query).get('sluice-signature') ?? '';
  const changes = [
    query.replace(String(NOW + 60), String(NOW + 600)),
    query.replace('k2', 'k1'),
    `${query}&sluice-expires=${NOW + 600}`,
    `${query}&${other}`,
    `${query}&sluice-prefix=%2F`,
    `${query}&sluice-prefix=%2Fprivate%2F`,
    query.replace(signature, signature.toLowerCase()),
    query.replace(signature, `${signature}A`),
    query.replace(signature, signature.slice(1)),
    query.replace(signature, ''),
    query.replace(String(NOW + 60), `${NOW + 60}.0`),
    query.replace(String(NOW + 60), `0x${(NOW + 60).toString(16)}`),
    query.replace(String(NOW + 60), 'Infinity'),
  ];
  for (const changed of changes) expect(['refused', 'unsigned']).toContain(check('/private/film.mp4', changed));
});

test('a prefix and a path of the same text have different signatures', () => {
  const asPrefix = new URLSearchParams(signedQuery('www', { kind: 'prefix', prefix: '/a/' }, NOW + 60, current));
  asPrefix.delete('sluice-prefix');
  expect(check('/a/', asPrefix.toString())).toBe('refused');
});

test('any path is granted by its own signature, and no query makes the check fail', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (path, noise) => {
      expect(check(`/${path}`, signedQuery('www', { kind: 'path', path: `/${path}` }, NOW + 1, current))).toBe('granted');
      expect(check(`/${path}`, `sluice-signature=${noise}&sluice-expires=${noise}`)).not.toBe('granted');
    }),
  );
});

test('a secret that is too short, and a prefix that is no directory, sign nothing', () => {
  expect(() => signedQuery('www', film, NOW, { id: 'k', secret: randomBytes(31) })).toThrow(RangeError);
  expect(() => signedQuery('www', { kind: 'prefix', prefix: '/a' }, NOW, current)).toThrow(RangeError);
});

test.each([
  ['/film.mp4', '/film.mp4'],
  ['/film.mp4?', '/film.mp4?'],
  ['/film.mp4?v=1%20&w', '/film.mp4?v=1%20&w'],
  ['/sluice-signature=abc', '/sluice-signature=abc'],
  ['/?sluice-signature=abc&t=3', '/?sluice-signature=redacted&t=3'],
  ['/?t=3&sluice-signature=abc=&sluice-signature=def', '/?t=3&sluice-signature=redacted&sluice-signature=redacted'],
  ['https://x/?sluice%2dsignature=abc', 'https://x/?sluice%2dsignature=redacted'],
  ['/?sluice-signature', '/?sluice-signature=redacted'],
  ['/a?X-Amz-Date=1&X-Amz-Signature=ab&x-amz-security-token=c', '/a?X-Amz-Date=1&X-Amz-Signature=redacted&x-amz-security-token=redacted'],
  ['/a?AWSAccessKeyId=k&Expires=1&Signature=a%2Bb%3D', '/a?AWSAccessKeyId=k&Expires=1&Signature=redacted'],
  ['/a?access_token=abc&tokens=3', '/a?access_token=redacted&tokens=3'],
  ['https://user:pass@x/a?b=c', 'https://x/a?b=c'],
  ['https://user:p@ss@x', 'https://x'],
  ['https://x/@a?b=c@d', 'https://x/@a?b=c@d'],
  ['/a//b:c@d', '/a//b:c@d'],
])('%s is shown as %s', (url, shown) => {
  expect(redactSignature(url)).toBe(shown);
});

test('of no link that is granted anything the signature is shown, however its query is written', () => {
  const encode = (text: string, flags: readonly boolean[]): string =>
    [...text].map((character, at) => (flags[at % flags.length] ? `%${character.charCodeAt(0).toString(16)}` : character)).join('');
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1 }), fc.constantFrom('', '?', '&', 'v=1&'), (flags, before) => {
      const parameters = new URLSearchParams(signedQuery('www', film, NOW + 1, current));
      const signature = parameters.get('sluice-signature') ?? '';
      const query = [...parameters].map(([name, value]) => `${encode(name, flags)}=${encode(value, flags)}`).join('&');
      expect(check('/private/film.mp4', `?${before}${query}`.replace('??', '?'))).toBe('granted');
      const shown = redactSignature(`/private/film.mp4?${before}${query}`);
      expect(decodeURIComponent(shown)).not.toContain(signature);
    }),
  );
});
