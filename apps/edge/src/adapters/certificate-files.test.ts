import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { makeCertificate, type TestCertificate } from '../certificates.fixture.ts';
import { parseCertificate } from './certificate-files.ts';

const SOURCE = { chainFile: 'a.crt', chainName: 'CERT', keyFile: 'a.key', keyName: 'KEY' };
const parse = (chain: string, key: string) => parseCertificate({ chain, key }, SOURCE);
function problemsOf(chain: string, key: string): readonly string[] {
  const read = parse(chain, key);
  return 'problems' in read ? read.problems : [];
}

let own: TestCertificate;
let other: TestCertificate;
beforeAll(async () => {
  own = await makeCertificate({ dnsNames: ['Example.com', '*.example.com'] });
  other = await makeCertificate();
});

test('a certificate is read with its names in lower case and its time of validity, whatever stands around it and however its lines end', () => {
  const expected = { value: expect.objectContaining({ name: 'a.crt', dnsNames: ['example.com', '*.example.com'] }) };
  expect(parse(own.certificate, own.key)).toEqual(expected);
  expect(parse(`Subject: x\n${own.certificate}\n# the chain\n${other.certificate}`, `Bag Attributes\n${own.key}`)).toEqual(expected);
  expect(parse(own.certificate.replaceAll('\n', '\r\n'), own.key.replaceAll('\n', '\r\n'))).toEqual(expected);
  const { value } = parse(own.certificate, own.key) as { value: { notBeforeMs: number; notAfterMs: number } };
  expect(value.notAfterMs - value.notBeforeMs).toBe(91 * 24 * 3_600_000);
});

test('a key may have the older forms', () => {
  const sec1 = createPrivateKey(own.key).export({ format: 'pem', type: 'sec1' }).toString();
  expect(sec1).toContain('BEGIN EC PRIVATE KEY');
  expect(problemsOf(own.certificate, sec1)).toEqual([]);
});

test('what cannot be used is told of both files at once', () => {
  const broken = own.certificate.replace(/^(?!-).*\n/m, 'AAAA\n');
  const encrypted = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    ...{ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' },
  });
  expect(problemsOf('', '')).toEqual(['CERT: a.crt holds no certificate in PEM', 'KEY: a.key holds no private key in PEM']);
  expect(problemsOf(own.key, own.certificate)).toHaveLength(2);
  expect(problemsOf(own.certificate + broken, String(encrypted))).toEqual([
    'CERT: a.crt holds a certificate that cannot be read, number 2',
    'KEY: a.key holds an encrypted key; decrypt it, for example with `openssl pkey`',
  ]);
  expect(problemsOf(own.certificate, other.key)).toEqual([expect.stringMatching(/^KEY: the key in a\.key does not belong to the first/)]);
  expect(problemsOf(other.certificate + own.certificate, own.key)).toEqual([
    expect.stringContaining("server's own certificate goes first"),
  ]);
});

test('whatever is in the files, it is taken or refused', () => {
  const text = fc.oneof(
    fc.string(),
    fc.string().map((inside) => `-----BEGIN CERTIFICATE-----\n${inside}\n-----END CERTIFICATE-----\n`),
    fc.nat({ max: 400 }).map((at) => own.certificate.slice(0, at) + own.certificate.slice(at + 1)),
  );
  fc.assert(
    fc.property(text, text, (chain, key) => {
      expect(problemsOf(chain, key)).not.toEqual([]);
    }),
  );
});
