import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeAddress, parseForwarded, parseForwardedFor } from './forwarded.ts';
import { ipAddress } from './ip-address.ts';

const parsed = (value: string) => parseForwarded(value)?.map((element) => Object.fromEntries(element));

describe('Forwarded (RFC 7239)', () => {
  test.each([
    // §4
    ['for="_gazonk"', [{ for: '_gazonk' }]],
    ['For="[2001:db8:cafe::17]:4711"', [{ for: '[2001:db8:cafe::17]:4711' }]],
    ['for=192.0.2.60;proto=http;by=203.0.113.43', [{ for: '192.0.2.60', proto: 'http', by: '203.0.113.43' }]],
    ['for=192.0.2.43, for=198.51.100.17', [{ for: '192.0.2.43' }, { for: '198.51.100.17' }]],
    // §6.3
    ['for=_hidden, for=_SEVKISEK', [{ for: '_hidden' }, { for: '_SEVKISEK' }]],
    // §7.1
    ['for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown', [{ for: '192.0.2.43' }, { for: '[2001:db8:cafe::17]' }, { for: 'unknown' }]],
    // §7.4
    ['for=192.0.2.43, for="[2001:db8:cafe::17]"', [{ for: '192.0.2.43' }, { for: '[2001:db8:cafe::17]' }]],
    // §7.5
    [
      'for=192.0.2.43,for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com',
      [{ for: '192.0.2.43' }, { for: '198.51.100.17', by: '203.0.113.60', proto: 'http', host: 'example.com' }],
    ],
  ])('%s, as in the RFC', (value, elements) => {
    expect(parsed(value)).toEqual(elements);
  });

  test.each([
    ['', []],
    [' , ;, ', []],
    ['for=a;;proto=b;', [{ for: 'a', proto: 'b' }]],
    ['for=a ; proto=b', [{ for: 'a', proto: 'b' }]],
    ['for="a,for=b;c"', [{ for: 'a,for=b;c' }]],
    ['for="a\\"b\\\\"', [{ for: 'a"b\\' }]],
    ['for=192.0.2.1:80', [{ for: '192.0.2.1:80' }]],
    ['for=""', [{ for: '' }]],
  ])('%s is read as it is meant', (value, elements) => {
    expect(parsed(value)).toEqual(elements);
  });

  test.each([
    ['a quotation mark that is left open, which would swallow what a proxy adds', 'for="192.0.2.1, for=198.51.100.17'],
    ['a backslash at its end', 'for="a\\'],
    ['a name without a value', 'for, for=198.51.100.17'],
    ['a value without a name', '=a'],
    ['an empty value', 'for=;proto=http'],
    ['a parameter that comes twice', 'for=192.0.2.1;For=192.0.2.2'],
    ['two pairs without a separator', 'for=a proto=b'],
    ['something behind a quoted string', 'for="a"b'],
    ['a pair right behind a quoted string', 'for="a"proto=b'],
  ])('%s makes the whole field malformed', (_what, value) => {
    expect(parseForwarded(value)).toBeUndefined();
  });

  test('what is written by the rules is read back, whatever the values are', () => {
    const token = fc.stringMatching(/^[a-z]{1,8}$/);
    const quotable = fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)) });
    const element = fc.dictionary(token, quotable, { minKeys: 1, maxKeys: 4, noNullPrototype: true });
    fc.assert(
      fc.property(fc.array(element, { maxLength: 5 }), (elements) => {
        const quote = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;
        const written = elements.map((pairs) => Object.entries(pairs).map(([name, text]) => `${name}=${quote(text)}`));
        expect(parsed(written.map((pairs) => pairs.join(';')).join(', '))).toEqual(elements);
      }),
    );
  });

  test('a proxy that appends its element to anything is either read last, or nothing is read', () => {
    const alphabet = fc.constantFrom(...'for=";,\\ 192.0:[]_\t');
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: alphabet })), (visitors) => {
        const elements = parsed(`${visitors}, for=198.51.100.17`);
        if (elements !== undefined) expect(elements.at(-1)).toEqual({ for: '198.51.100.17' });
      }),
      { numRuns: 2_000 },
    );
  });

  test('a field as long as a header may be is read in linear time', () => {
    for (const piece of ['for="', 'for=a;', ';,', 'for="\\', ' ', '\\"']) {
      const startedMs = performance.now();
      parseForwarded(piece.repeat(16_384 / piece.length));
      expect(performance.now() - startedMs).toBeLessThan(500);
    }
  });
});

describe('nodes (RFC 7239 §6)', () => {
  test.each([
    ['192.0.2.43', '192.0.2.43'],
    ['192.0.2.43:47011', '192.0.2.43'],
    ['192.0.2.43:_port', '192.0.2.43'],
    ['[2001:db8:cafe::17]', '2001:db8:cafe::17'],
    ['[2001:db8:cafe::17]:47011', '2001:db8:cafe::17'],
    ['[2001:DB8:0:0::0017]:47011', '2001:db8::17'],
    ['2001:db8:cafe::17', '2001:db8:cafe::17'],
    ['[::ffff:192.0.2.43]', '192.0.2.43'],
    ['unknown', undefined],
    ['unknown:80', undefined],
    ['_hidden', undefined],
    ['_SEVKISEK:80', undefined],
    ['', undefined],
    ['[192.0.2.43]', undefined],
    ['[2001:db8::1', undefined],
    ['192.0.2.256', undefined],
    ['192.0.2.043', undefined],
    ['192.0.2.43:', undefined],
    ['192.0.2.43:123456', undefined],
    ['192.0.2.43 ', undefined],
    ['example.com', undefined],
  ])('%s names %s', (node, address) => {
    expect(nodeAddress(node)).toBe(address);
  });

  test('whatever stands there, an address that comes out of it is one, and has one spelling', () => {
    const alphabet = fc.constantFrom(...'0123456789abcdef.:[]%_');
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: alphabet }), fc.ipV4(), fc.ipV6()), (text) => {
        const address = nodeAddress(text);
        if (address !== undefined) expect(ipAddress(address)).toBe(address);
      }),
      { numRuns: 2_000 },
    );
  });
});

test.each([
  ['192.0.2.43, 2001:db8:cafe::17', ['192.0.2.43', '2001:db8:cafe::17']],
  [' , 192.0.2.43,, unknown ', ['192.0.2.43', 'unknown']],
  ['", 192.0.2.43', ['"', '192.0.2.43']],
  ['', []],
])('X-Forwarded-For %j is a list of nodes', (value, nodes) => {
  expect(parseForwardedFor(value)).toEqual(nodes);
});

test.each([
  ['fe80::1%eth0', 'fe80::1'],
  ['::FFFF:7f00:1', '127.0.0.1'],
  ['::1', '::1'],
  ['1.2.3', undefined],
])('the address %s is spelled %s', (text, address) => {
  expect(ipAddress(text)).toBe(address);
});
