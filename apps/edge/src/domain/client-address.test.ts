import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clientAddress, forwardedScheme } from './client-address.ts';

const isTrusted = (address: string): boolean => address.startsWith('10.') || address === '2001:db8::1';
const proxy = { address: '10.0.0.1', trusted: true };
const visitor = { address: '198.51.100.9', trusted: false };

describe('the address of a visitor', () => {
  test.each([
    ['no field: the proxy itself', {}, '10.0.0.1'],
    ['one node', { 'x-forwarded-for': '192.0.2.1' }, '192.0.2.1'],
    ['what a visitor has made up before it', { 'x-forwarded-for': '1.1.1.1, 10.9.9.9, 192.0.2.1' }, '192.0.2.1'],
    ['trusted proxies behind it', { 'x-forwarded-for': '1.1.1.1, 192.0.2.1, 10.0.0.3, 10.0.0.2' }, '192.0.2.1'],
    ['only trusted ones: the farthest', { 'x-forwarded-for': '10.0.0.3, 10.0.0.2' }, '10.0.0.3'],
    ['a port', { 'x-forwarded-for': '192.0.2.1:4711' }, '192.0.2.1'],
    ['IPv6', { 'x-forwarded-for': '2001:DB8::2, [2001:db8::1]:80' }, '2001:db8::2'],
    ['unknown: the proxy that says so', { 'x-forwarded-for': '192.0.2.1, unknown, 10.0.0.2' }, '10.0.0.2'],
    ['nonsense: the proxy that passes it on', { 'x-forwarded-for': '192.0.2.1, <script>' }, '10.0.0.1'],
    ['several lines are one list', { 'x-forwarded-for': ['1.1.1.1', '192.0.2.1'] }, '192.0.2.1'],
    ['an empty field', { 'x-forwarded-for': '' }, '10.0.0.1'],
    ['Forwarded', { forwarded: 'for=1.1.1.1, For="192.0.2.1:80";proto=https, for=10.0.0.2' }, '192.0.2.1'],
    ['Forwarded with IPv6', { forwarded: 'for="[2001:db8::2]:80", for="[2001:db8::1]"' }, '2001:db8::2'],
    ['an obfuscated node: the proxy that says so', { forwarded: 'for=192.0.2.1, for=_hidden, for=10.0.0.2' }, '10.0.0.2'],
    ['an element without a node', { forwarded: 'for=192.0.2.1, proto=https' }, '10.0.0.1'],
    ['Forwarded that is malformed', { forwarded: 'for="192.0.2.1' }, '10.0.0.1'],
    ['Forwarded that is malformed, beside the other', { forwarded: 'for="', 'x-forwarded-for': '192.0.2.1' }, '10.0.0.1'],
    ['both, and they agree', { forwarded: 'for="192.0.2.1:80"', 'x-forwarded-for': '1.1.1.1, 192.0.2.1' }, '192.0.2.1'],
    ['both, and they do not agree', { forwarded: 'for=1.1.1.1', 'x-forwarded-for': '192.0.2.1' }, '10.0.0.1'],
  ])('from a trusted proxy: %s', (_what, fields, address) => {
    expect(clientAddress(proxy, fields, isTrusted)).toBe(address);
  });

  test('from anyone else the fields are ignored', () => {
    const fields = { forwarded: 'for=192.0.2.1', 'x-forwarded-for': '192.0.2.1' };
    expect(clientAddress(visitor, fields, isTrusted)).toBe('198.51.100.9');
    expect(clientAddress({ address: '10.0.0.1', trusted: false }, fields, isTrusted)).toBe('10.0.0.1');
    expect(clientAddress({ address: undefined, trusted: false }, fields, isTrusted)).toBeUndefined();
  });

  test('nothing that a visitor sends makes it another address than its own or the proxy', () => {
    const piece = fc.constantFrom('for=1.1.1.1', 'for="', '1.1.1.1', '10.0.0.9', ',', ';', '"', '\\', ' ', 'unknown', 'for=10.0.0.9');
    const sent = fc.option(
      fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
      { nil: undefined },
    );
    fc.assert(
      fc.property(sent, sent, fc.boolean(), (forwarded, forwardedFor, speaksForwarded) => {
        const append = (field: string | undefined, added: string) => (field === undefined ? added : `${field}, ${added}`);
        const fields = speaksForwarded
          ? { forwarded: append(forwarded, 'for=192.0.2.1'), 'x-forwarded-for': forwardedFor }
          : { forwarded, 'x-forwarded-for': append(forwardedFor, '192.0.2.1') };
        expect(['192.0.2.1', '10.0.0.1']).toContain(clientAddress(proxy, fields, isTrusted));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the scheme of a visitor', () => {
  test.each([
    [{}, undefined],
    [{ 'x-forwarded-proto': 'https' }, 'https'],
    [{ 'x-forwarded-proto': 'HTTP' }, 'http'],
    [{ 'x-forwarded-proto': 'https, http' }, 'http'],
    [{ 'x-forwarded-proto': 'ftp' }, undefined],
    [{ forwarded: 'for=192.0.2.1;proto=https' }, 'https'],
    [{ forwarded: 'proto=https, for=192.0.2.1;Proto=HTTP' }, 'http'],
    [{ forwarded: 'for=192.0.2.1', 'x-forwarded-proto': 'https' }, 'https'],
    [{ forwarded: 'proto=https', 'x-forwarded-proto': 'https' }, 'https'],
    [{ forwarded: 'proto=http', 'x-forwarded-proto': 'https' }, undefined],
    [{ forwarded: 'proto="', 'x-forwarded-proto': 'https' }, undefined],
  ])('is what a trusted proxy tells last, and only if it tells one: %j', (fields, scheme) => {
    expect(forwardedScheme(proxy, fields)).toBe(scheme);
    expect(forwardedScheme(visitor, fields)).toBeUndefined();
  });
});
