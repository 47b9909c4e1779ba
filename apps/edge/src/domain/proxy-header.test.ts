import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readProxyHeader, V2_MAX_BYTES } from './proxy-header.ts';

const text = (line: string) => Buffer.from(line, 'latin1');
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
/** A header of version 2, with the length that it has unless another one is given. */
const v2 = (command: number, family: number, rest: readonly number[] = [], length = rest.length) =>
  Buffer.from([...SIGNATURE, command, family, length >> 8, length & 0xff, ...rest]);
const IPV4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0, 80];
const IPV6 = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 1, 0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 2, 0xdc, 0x04, 0, 80];
const LONGEST_V1 = 'PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n';

const at = (address: string) => ({ kind: 'address', address });
const LOCAL = { kind: 'local' };
const UNKNOWN = { kind: 'unknown' };

const VALID: [string, Buffer, object][] = [
  ['TCP over IPv4', text('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n'), at('255.255.255.255')],
  ['TCP over IPv6', text('PROXY TCP6 2001:DB8::1 ::1 0 443\r\n'), at('2001:db8::1')],
  ['unknown, short', text('PROXY UNKNOWN\r\n'), UNKNOWN],
  ['unknown, as long as a line may be', text(LONGEST_V1), UNKNOWN],
  ['version 2, IPv4', v2(0x21, 0x11, IPV4), at('192.0.2.1')],
  ['version 2, IPv6', v2(0x21, 0x21, IPV6), at('2001:db8::1')],
  ['version 2, a visitor who came by UDP', v2(0x21, 0x12, IPV4), at('192.0.2.1')],
  ['version 2, IPv4 inside of IPv6', v2(0x21, 0x21, [...Array(10).fill(0), 0xff, 0xff, 192, 0, 2, 1, ...IPV6.slice(16)]), at('192.0.2.1')],
  ['version 2, TLVs behind the addresses', v2(0x21, 0x11, [...IPV4, 0x04, 0, 2, 0, 0]), at('192.0.2.1')],
  ['version 2, a UNIX socket', v2(0x21, 0x31, Array(216).fill(0x2f)), UNKNOWN],
  ['version 2, no family', v2(0x21, 0x00), UNKNOWN],
  ['version 2, no family, and something to pass over', v2(0x21, 0x00, [1, 2, 3]), UNKNOWN],
  ['version 2, local', v2(0x20, 0x00), LOCAL],
  ['version 2, local with addresses to pass over', v2(0x20, 0x11, IPV4), LOCAL],
  ['version 2, local with a family and no addresses', v2(0x20, 0x21), LOCAL],
  ['version 2, as long as it may be', v2(0x21, 0x11, [...IPV4, ...Array(V2_MAX_BYTES - 16 - IPV4.length).fill(4)]), at('192.0.2.1')],
];

describe.each(VALID)('%s', (_what, header, source) => {
  test('is read, and what follows is left', () => {
    for (const following of ['', 'GET / HTTP/1.1\r\n', '\r\n\r\nPROXY UNKNOWN\r\n']) {
      expect(readProxyHeader(Buffer.concat([header, text(following)]))).toEqual({ source, bytes: header.length });
    }
  });
  test('is incomplete as long as a byte is missing', () => {
    for (let length = 0; length < header.length; length += 1) expect(readProxyHeader(header.subarray(0, length))).toBe('incomplete');
  });
});

describe('no header', () => {
  test.each([
    ['HTTP', text('GET / HTTP/1.1\r\n\r\n')],
    ['TLS', Buffer.from([0x16, 0x03, 0x01])],
    ['a first byte that no header has', text('p')],
    ['another name', text('PROXZ')],
    ['small letters', text('PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n')],
    ['two spaces', text('PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n')],
    ['a space at the end', text('PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n')],
    ['an address of the other family', text('PROXY TCP4 ::1 ::1 1 2\r\n')],
    ['the same the other way round', text('PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n')],
    ['a destination of the other family', text('PROXY TCP4 192.0.2.1 ::1 1 2\r\n')],
    ['an address with a zone', text('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n')],
    ['no address', text('PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n')],
    ['a port with leading zeros', text('PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n')],
    ['a port that is too large', text('PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n')],
    ['no ports', text('PROXY TCP4 192.0.2.1 192.0.2.2\r\n')],
    ['a line feed alone', text('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n')],
    ['UNKNOWNS', text('PROXY UNKNOWNS\r\n')],
    ['a line that is one byte too long', text(LONGEST_V1.replace('\r\n', ' \r\n'))],
    ['a line that does not end', text(`PROXY UNKNOWN ${'x'.repeat(100)}`)],
    ['another version', v2(0x31, 0x11, IPV4)],
    ['another command', v2(0x22, 0x11, IPV4)],
    ['another family', v2(0x21, 0x41, IPV4)],
    ['a family without a transport', v2(0x21, 0x10, IPV4)],
    ['another transport', v2(0x21, 0x13, IPV4)],
    ['less than two IPv4 addresses', v2(0x21, 0x11, IPV4.slice(1))],
    ['less than two IPv6 addresses', v2(0x21, 0x21, IPV4)],
    ['a length above the limit, before all of it has come', v2(0x21, 0x11, IPV4, V2_MAX_BYTES - 15)],
    ['the largest length', v2(0x20, 0x00, [], 65_535)],
  ])('%s', (_what, received) => {
    expect(readProxyHeader(received)).toBe('invalid');
  });

  test('whatever comes, it is decided before the limit, and by the same bytes however many follow', () => {
    const starts = fc.constantFrom(
      text('PROXY '),
      text('PROXY TCP4 1.1.1.1 '),
      v2(0x21, 0x11, [], 300),
      v2(0x20, 0x00, [], 9),
      Buffer.alloc(0),
    );
    fc.assert(
      fc.property(starts, fc.uint8Array({ maxLength: 400 }), fc.uint8Array({ maxLength: 20 }), (start, rest, more) => {
        const received = Buffer.concat([start, rest]);
        const read = readProxyHeader(received);
        if (read === 'incomplete') expect(received.length).toBeLessThan(V2_MAX_BYTES);
        else expect(readProxyHeader(Buffer.concat([received, more]))).toEqual(read);
        if (typeof read === 'object') expect(read.bytes).toBeLessThanOrEqual(received.length);
      }),
      { numRuns: 2_000 },
    );
  });
});
