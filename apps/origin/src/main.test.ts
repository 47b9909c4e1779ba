import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ORIGIN_FETCH } from '@sluice/contracts';
import { signedFields } from '@sluice/sigv4';
import { ManagedProcess } from '@sluice/stack';
import { eventually, temporaryDirectory, testBroker } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { KEYS, OWNER } from './testing/keyed-origin.fixture.ts';
import { NO_BROKER, sha256 } from './testing/origin.fixture.ts';
import { MAIN, startProcess } from './testing/origin-process.fixture.ts';

test('a configuration that cannot work is described completely, and the exit code is 2', async () => {
  const env = { ORIGIN_PORT: 'http', ORIGIN_UPLOADS_MAX: '0', ORIGIN_PROT: '1' };
  const origin = new ManagedProcess({ name: 'origin', command: process.execPath, args: [MAIN], env });
  expect(await origin.ended).toBe('exited with 2');
  for (const name of Object.keys(env)) expect(origin.tail).toContain(name);
});

test('without keys it listens where only this machine reaches it, and says so; elsewhere it does not start', async () => {
  await using dir = await temporaryDirectory();
  const { origin } = await startProcess(dir.path, NO_BROKER);
  expect(origin.tail).toContain('there are no keys');
  await origin.stop();
  const env = { ORIGIN_PORT: '0', ORIGIN_HOST: '0.0.0.0', ORIGIN_DATA_DIR: dir.path, NATS_URL: NO_BROKER };
  const refused = new ManagedProcess({ name: 'origin', command: process.execPath, args: [MAIN], env });
  expect(await refused.ended).toBe('exited with 2');
  expect(refused.tail).toContain('ORIGIN_KEYS_FILE');
});

test('no secret is logged, whatever is asked and however the keys file changes; one that cannot be used at the start ends it with 2', async () => {
  await using dir = await temporaryDirectory();
  const keysFile = join(dir.path, 'keys.yaml');
  const secret = OWNER.secretAccessKey;
  await writeFile(keysFile, KEYS);
  const more = { ORIGIN_KEYS_FILE: keysFile, LOG_LEVEL: 'trace' };
  const logFile = join(dir.path, 'log');
  const { origin, url } = await startProcess(join(dir.path, 'data'), NO_BROKER, more, logFile);
  const target = new URL('/site/a', url);
  const ask = async (own: typeof OWNER) => {
    const headers = signedFields({ method: 'PUT', url: target, headers: {}, payloadHash: 'UNSIGNED-PAYLOAD' }, own, Date.now());
    const answer = await fetch(target, { method: 'PUT', body: 'x', headers });
    return { status: answer.status, text: await answer.text() };
  };
  expect((await ask(OWNER)).status).toBe(200);
  const refused = await ask({ ...OWNER, secretAccessKey: 'wrong' });
  expect(refused.status).toBe(403);
  expect(refused.text).not.toContain(secret);
  const broken = `keys: [{ accessKeyId: "x", secretAccessKey: "${secret}", rights: *${secret} }]`;
  await writeFile(keysFile, broken);
  await origin.waitForLine((line) => (line.includes('was not taken') ? line : undefined), 20_000);
  expect((await ask(OWNER)).status).toBe(200);
  expect(await origin.stop()).toBe('exited with 0');
  const env = { ORIGIN_PORT: '0', ORIGIN_DATA_DIR: join(dir.path, 'data'), NATS_URL: NO_BROKER, ...more };
  const second = new ManagedProcess({ name: 'origin', command: process.execPath, args: [MAIN], env });
  expect(await second.ended).toBe('exited with 2');
  expect(second.tail).toContain('the keys file has a problem');
  const logged = await readFile(logFile, 'utf8');
  expect(logged).toContain('was not taken');
  for (const said of [logged, second.tail]) expect(said).not.toContain(secret);
});

test('a port that is taken ends it with exit code 1', async () => {
  await using dir = await temporaryDirectory();
  const { origin, url } = await startProcess(join(dir.path, 'first'), NO_BROKER);
  const env = { ORIGIN_PORT: new URL(url).port, ORIGIN_DATA_DIR: join(dir.path, 'second'), NATS_URL: NO_BROKER };
  const second = new ManagedProcess({ name: 'origin', command: process.execPath, args: [MAIN], env });
  expect(await second.ended).toBe('exited with 1');
  expect(second.tail).toContain('EADDRINUSE');
  await origin.stop();
});

test('what was answered 200 survives kill -9, and SIGTERM ends it cleanly without a broker', async () => {
  await using dir = await temporaryDirectory();
  const first = await startProcess(dir.path, NO_BROKER);
  const bodies = [randomBytes(100), randomBytes(200_000)];
  const answers = await Promise.all(bodies.map((body, index) => fetch(`${first.url}/site/${index}`, { method: 'PUT', body })));
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  await first.origin.kill();
  const second = await startProcess(dir.path, NO_BROKER);
  for (const [index, body] of bodies.entries()) {
    const got = await fetch(`${second.url}/site/${index}`);
    expect(Buffer.from(await got.arrayBuffer()).equals(body)).toBe(true);
  }
  expect(await second.origin.stop()).toBe('exited with 0');
}, 30_000);

test('ten edges with four ranges each in flight get a large object whole, for at most 150 MB more memory than at rest', async () => {
  await using environment = await testBroker();
  await using dir = await temporaryDirectory();
  const { origin, url } = await startProcess(dir.path, environment.url);
  try {
    await eventually(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200));
    const atRestKb = await memoryKb(origin.pid, 'VmRSS');
    const clients = await Promise.all(Array.from({ length: 10 }, () => environment.connect()));
    const piece = clients[0]?.chunkBytes ?? 0;
    const bytes = randomBytes(60 * piece);
    expect((await fetch(`${url}/site/large`, { method: 'PUT', body: bytes })).status).toBe(200);
    const name = sha256(bytes);
    const sums = await Promise.all(
      clients.map(async (client) => {
        const request = (offset: number) => ({ op: 'read', sha256: name, offset, length: piece }) as const;
        const parts = await takeAll(60, 4, (index) => client.requestBytes(ORIGIN_FETCH, request(index * piece), { timeoutMs: 30_000 }));
        return sha256(Buffer.concat(parts));
      }),
    );
    expect(new Set(sums)).toEqual(new Set([name]));
    // A quarter of what they take together. The greater part is buffers that await collection: 65 to 90 MB in a quiet run.
    expect((await memoryKb(origin.pid, 'VmHWM')) - atRestKb).toBeLessThan(150_000);
  } finally {
    expect(await origin.stop()).toBe('exited with 0');
  }
}, 90_000);

/** What a process occupies now (`VmRSS`) or occupied at most (`VmHWM`). */
async function memoryKb(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** Takes pieces 0 … count-1, `parallel` at a time. */
async function takeAll(count: number, parallel: number, take: (index: number) => Promise<Uint8Array>): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      parts[index] = await take(index);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return parts;
}
