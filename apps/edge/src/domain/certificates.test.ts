import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Certificate, type Certificates, certificateFor, covers, isMisdirected, validityProblem } from './certificates.ts';

const DAY_MS = 24 * 3_600_000;
const certificate = (name: string, ...dnsNames: string[]): Certificate => ({
  ...{ name, dnsNames, chain: '', key: '', notBeforeMs: 0, notAfterMs: 100 * DAY_MS },
});
const [own, www, wild] = [
  certificate('own', 'cdn.net'),
  certificate('www', 'www.a.org', '*.a.org'),
  certificate('wild', '*.b.org', 'b.org'),
];
const certificates: Certificates = {
  byHost: new Map([
    ['www.a.org', www],
    ['*.b.org', wild],
    ['x.b.org', own],
  ]),
  fallback: own,
  ticketKeys: new Uint8Array(48),
};

describe('the certificate for a host name', () => {
  test.each([
    ['www.a.org', 'www'],
    ['WWW.A.org.', 'www'],
    ['www.a.org:8443', 'www'],
    ['y.b.org', 'wild'],
    ['z.y.b.org', 'wild'],
    ['x.b.org', 'own'],
    ['b.org', 'own'],
    ['other.a.org', 'own'],
    ['127.0.0.1', 'own'],
    ['', 'own'],
    [undefined, 'own'],
  ])('%j: %s', (host, name) => {
    expect(certificateFor(certificates, host)?.name).toBe(name);
  });

  test('is none where nothing is configured for it', () => {
    expect(certificateFor({ ...certificates, fallback: undefined }, 'other.org')).toBeUndefined();
  });
});

test.each([
  ['www.a.org', true],
  ['WWW.a.org:443', true],
  ['x.a.org', true],
  ['x.y.a.org', false],
  ['a.org', false],
  ['.a.org', false],
  ['*.a.org', true],
  ['wwwxa.org', false],
  ['', false],
])('a certificate for www.a.org and *.a.org covers %j: %s (RFC 9525 §6.3)', (host, covered) => {
  expect(covers(www, host)).toBe(covered);
});

describe('a request is misdirected (RFC 9110 §15.5.20)', () => {
  test.each([
    ['www.a.org', 'www.a.org', false],
    ['www.a.org', 'www.a.org:8443', false],
    ['www.a.org', 'x.a.org', false],
    ['www.a.org', 'y.b.org', true],
    ['www.a.org', 'cdn.net', true],
    ['www.a.org', '127.0.0.1', true],
    ['y.b.org', 'z.b.org', false],
    ['y.b.org', 'x.b.org', false],
    ['x.b.org', 'y.b.org', true],
    ['unknown.org', 'another.org', false],
    [undefined, '127.0.0.1', false],
    [undefined, 'www.a.org', true],
    ['www.a.org', undefined, false],
  ])('handshake for %j, request for %j: %s', (serverName, host, misdirected) => {
    expect(isMisdirected(certificates, serverName, host)).toBe(misdirected);
  });

  test('never when the handshake was for the same name, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        expect(isMisdirected(certificates, name, name)).toBe(false);
      }),
    );
  });
});

test.each([
  [-1, 'the certificate is not valid yet'],
  [0, undefined],
  [86 * DAY_MS, undefined],
  [86 * DAY_MS + 1, 'the certificate expires soon'],
  [100 * DAY_MS, 'the certificate expires soon'],
  [100 * DAY_MS + 1, 'the certificate has expired'],
])('of a certificate for 100 days is said after %d ms: %j', (nowMs, problem) => {
  expect(validityProblem(own, nowMs)).toBe(problem);
});
