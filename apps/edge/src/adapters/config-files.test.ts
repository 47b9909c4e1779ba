import { join } from 'node:path';
import { createLogger, type Logger, readConfig } from '@sluice/runtime';
import { eventually, FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { makeCertificate, replaceFile, type TestCertificate, writeCertificate } from '../certificates.fixture.ts';
import { edgeVariables } from '../config.ts';
import { certificateFor } from '../domain/certificates.ts';
import { followConfigFiles, TICKET_KEYS_MS } from './config-files.ts';

const DAY_MS = 24 * 3_600_000;

async function follow(own: TestCertificate, sites: string, clock: FakeClock) {
  const dir = await temporaryDirectory();
  const paths = await writeCertificate(dir.path, 'own', own);
  await replaceFile(join(dir.path, 'sites.yaml'), sites);
  const variables = { EDGE_TLS_PORT: '0', EDGE_TLS_CERT_FILE: paths.certificate, EDGE_TLS_KEY_FILE: paths.key };
  const config = readConfig(edgeVariables, { ...variables, EDGE_SITES_FILE: join(dir.path, 'sites.yaml') }, []);
  const warnings: unknown[] = [];
  const log: Logger = Object.assign(Object.create(createLogger('edge', 'silent')), {
    warn: (_fields: unknown, message: unknown) => warnings.push(message),
  });
  const files = await followConfigFiles(config, clock, log);
  return {
    ...{ dir: dir.path, files, warnings },
    async [Symbol.asyncDispose]() {
      files.stop();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('a certificate that expires in less than 14 days is warned of every day', async () => {
  const clock = new FakeClock();
  const own = await makeCertificate({ validFromMs: clock.nowMs() - DAY_MS, validForDays: 16 });
  await using it = await follow(own, 'sites: []', clock);
  clock.advance(DAY_MS - 1);
  expect(it.warnings).toEqual([]);
  clock.advance(DAY_MS);
  expect(it.warnings).toEqual([]);
  clock.advance(DAY_MS);
  clock.advance(DAY_MS);
  expect(it.warnings).toEqual(Array(2).fill('the certificate expires soon'));
  clock.advance(13 * DAY_MS);
  expect(it.warnings.at(-1)).toBe('the certificate has expired');
});

test('what is in force can be posted to a thread: there too, hosts with one certificate have the same', async () => {
  const own = await makeCertificate();
  const sites =
    'sites: [{ name: a, hosts: [a.org, "*.b.org"], bucket: b, tls: { certificate: own.crt, key: own.key }, hsts: { maxAgeSeconds: 1 } }]';
  const clock = new FakeClock();
  await using it = await follow(own, sites, clock);
  const posted = structuredClone(it.files.current);
  expect(posted).toEqual(structuredClone(it.files.current));
  const { certificates } = posted;
  expect(certificateFor(certificates, 'a.org')).toBe(certificates.fallback);
  expect(certificateFor(certificates, 'x.b.org')).toBe(certificates.fallback);
  expect(certificates.fallback?.chain).toBe(own.certificate);
});

test('a change that no watcher reports is noticed by looking again', async () => {
  const clock = new FakeClock();
  await using it = await follow(await makeCertificate(), 'sites: []', clock);
  const changes: unknown[] = [];
  it.files.onChange((config) => changes.push(config));
  const next = await makeCertificate();
  await writeCertificate(it.dir, 'own', next);
  clock.advance(10_000);
  await eventually(() => expect(changes).toHaveLength(1));
  expect(changes[0]).toBe(it.files.current);
  expect(it.files.current.certificates.fallback?.chain).toBe(next.certificate);
});

test('the keys of session tickets are others after an hour, and the same after a renewal of a certificate', async () => {
  const clock = new FakeClock();
  await using it = await follow(await makeCertificate(), 'sites: []', clock);
  const told: Uint8Array[] = [];
  it.files.onChange(({ certificates }) => told.push(certificates.ticketKeys));
  const first = it.files.current.certificates.ticketKeys;
  clock.advance(TICKET_KEYS_MS - 1);
  expect(told).toEqual([]);
  clock.advance(1);
  const second = it.files.current.certificates.ticketKeys;
  expect([told.length, told[0] === second, second.byteLength, Buffer.compare(first, second) === 0]).toEqual([1, true, 48, false]);
  await writeCertificate(it.dir, 'own', await makeCertificate());
  clock.advance(10_000);
  await eventually(() => expect(told).toHaveLength(2));
  expect(told[1]).toBe(second);
  clock.advance(TICKET_KEYS_MS);
  expect(told).toHaveLength(3);
});
