import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { httpsLocation, staysPlain, strictTransportSecurity } from './https.ts';

describe('where a plain request is sent', () => {
  test.each([
    ['a.org', '/', 443, 'https://a.org/'],
    ['a.org', '/x/?y=1&z', 8443, 'https://a.org:8443/x/?y=1&z'],
    ['a.org:80', '/', 443, 'https://a.org/'],
    ['a.org:8080', '/', 8443, 'https://a.org:8443/'],
    ['a.org:', '/', 443, 'https://a.org/'],
    ['[::1]', '/', 443, 'https://[::1]/'],
    ['[::1]:8080', '/', 8443, 'https://[::1]:8443/'],
    [' a.org ', '/', 443, 'https://a.org/'],
    ['a.org', '//b.org/', 443, 'https://a.org//b.org/'],
    ['a.org', 'http://a.org', 443, 'https://a.org/'],
    ['a.org', 'http://a.org/x', 443, 'https://a.org/x'],
    ['a.org', 'HTTP://a.org?x', 443, 'https://a.org/?x'],
    ['a.org', '/x#y', 443, 'https://a.org/x'],
    ['', '/', 443, undefined],
    [undefined, '/', 443, undefined],
  ])('host %j, target %j, port %d: %j', (host, target, port, location) => {
    expect(httpsLocation(host, target, port)).toBe(location);
  });

  test('it is the same host and, to the byte, the same target, whatever it is', () => {
    const path = fc.stringMatching(/^\/[!-"$-~]*$/);
    fc.assert(
      fc.property(path, (target) => {
        const location = httpsLocation('a.org', target, 8443) ?? '';
        expect(location).toBe(`https://a.org:8443${target}`);
        expect(new URL(location).host).toBe('a.org:8443');
      }),
    );
  });
});

test.each([
  ['.well-known/acme-challenge/token', true],
  ['.well-known/acme-challenge/', true],
  ['.well-known/acme-challenge', false],
  ['x/.well-known/acme-challenge/token', false],
  ['', false],
])('the path %j stays plain: %s (RFC 8555 §8.3)', (path, plain) => {
  expect(staysPlain(path)).toBe(plain);
});

test.each([
  [{ maxAgeSeconds: 0, includeSubDomains: false, preload: false }, 'max-age=0'],
  [{ maxAgeSeconds: 31_536_000, includeSubDomains: true, preload: false }, 'max-age=31536000; includeSubDomains'],
  [{ maxAgeSeconds: 63_072_000, includeSubDomains: true, preload: true }, 'max-age=63072000; includeSubDomains; preload'],
])('%j is %j (RFC 6797 §6.1)', (hsts, value) => {
  expect(strictTransportSecurity(hsts)).toBe(value);
});
