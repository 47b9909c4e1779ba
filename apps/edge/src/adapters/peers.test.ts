import { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { parseTrustedRanges, TRUSTED_RANGES_MAX } from '../domain/trusted-ranges.ts';
import { Peers } from './peers.ts';

const trusts = (ranges: string, address: string): boolean => new Peers(parseTrustedRanges(ranges).ranges).isTrusted(address);

describe('trusted proxies', () => {
  test.each([
    ['10.0.0.0/8', '10.255.0.1', '11.0.0.1'],
    ['192.0.2.1', '192.0.2.1', '192.0.2.2'],
    ['192.0.2.128/25 , 198.51.100.7', '198.51.100.7', '192.0.2.127'],
    ['2001:db8::/32', '2001:db8:ffff::1', '2001:db9::1'],
    ['2001:DB8::1', '2001:db8::1', '2001:db8::2'],
    ['loopback', '127.9.9.9', '10.0.0.1'],
    ['loopback', '::1', '::2'],
    ['private', '172.31.255.255', '172.32.0.0'],
    ['Private', 'fd00::1', 'fe80::1'],
    ['private', '192.168.1.1', '127.0.0.1'],
    ['0.0.0.0/0', '192.0.2.1', '2001:db8::1'],
  ])('%s takes in %s, and not %s', (ranges, inside, outside) => {
    expect(parseTrustedRanges(ranges).problems).toEqual([]);
    expect([trusts(ranges, inside), trusts(ranges, outside)]).toEqual([true, false]);
  });

  test.each([
    '10.0.0.0/33',
    '2001:db8::/129',
    '10.0.0/8',
    '10.0.0.0/',
    'example.com',
    '::ffff:10.0.0.0/104',
    'fe80::1%eth0',
    '[::1]',
    '10.0.0.1-9',
  ])('"%s" is no range, and the problem names it', (range) => {
    const { problems } = parseTrustedRanges(`10.0.0.0/8,${range}`);
    expect(problems).toEqual([expect.stringContaining(`"${range}" is no address range`)]);
  });

  test('more than the most are refused', () => {
    const many = (count: number) => parseTrustedRanges(Array(count).fill('10.0.0.1').join()).problems;
    expect([many(TRUSTED_RANGES_MAX), many(TRUSTED_RANGES_MAX + 1)]).toEqual([[], ['at most 1000 ranges']]);
  });
});

test('an IPv4 address of a socket that listens on IPv6 is an IPv4 address', () => {
  const peers = new Peers(parseTrustedRanges('10.0.0.0/8').ranges);
  const socket = { remoteAddress: '::ffff:10.0.0.1', remotePort: 1, localAddress: '::ffff:10.0.0.2', localPort: 80 };
  expect(peers.of(socket)).toEqual({ address: '10.0.0.1', trusted: true });
});

test('what a PROXY header has told of a connection outlives the late end of an earlier one with the same addresses and ports', () => {
  const peers = new Peers(parseTrustedRanges('10.0.0.0/8').ranges);
  const numbers = { remoteAddress: '10.0.0.1', remotePort: 1, localAddress: '10.0.0.2', localPort: 443 };
  const connection = () => Object.defineProperties(new Socket(), Object.getOwnPropertyDescriptors(numbers));
  const [earlier, later] = [connection(), connection()];
  peers.introduce(earlier, { kind: 'address', address: '192.0.2.1' });
  peers.introduce(later, { kind: 'address', address: '192.0.2.2' });
  earlier.emit('close');
  expect(peers.of({ ...numbers })).toEqual({ address: '192.0.2.2', trusted: false });
  later.emit('close');
  expect(peers.of({ ...numbers })).toEqual({ address: '10.0.0.1', trusted: true });
});
