import { randomBytes } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AdminAccess,
  answerOperations,
  ConfigError,
  createLogger,
  createMetrics,
  followAdminAccess,
  parseAdminTokens,
  Readiness,
  systemClock,
  TOKENS_MAX,
} from './mod.ts';

const silent = createLogger('test', 'silent');
const variable = 'TEST_ADMIN_TOKEN_FILE';
const newToken = (): string => randomBytes(32).toString('hex');
const follow = (host: string, more: { tokenFile?: string; open?: boolean } = {}): Promise<AdminAccess> =>
  followAdminAccess({ host, tokenFile: undefined, open: false, variable, clock: systemClock, log: silent, ...more });
const asked = (authorization?: string, host: string | undefined = 'sluice.example.com') => ({ authorization, host });

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-admin-'));
});
afterAll(() => rm(dir, { recursive: true }));

describe('with a file of tokens', () => {
  const [first, second] = [newToken(), newToken()];
  let access: AdminAccess;
  beforeAll(async () => {
    await writeFile(join(dir, 'tokens'), `# who\n${first}\r\n\n  ${second}\n`);
    access = await follow('0.0.0.0', { tokenFile: join(dir, 'tokens') });
  });
  afterAll(() => access.stop());

  test.each([
    ['the first of them', `Bearer ${first}`],
    ['any other', `Bearer ${second}`],
    ['the scheme in small letters (RFC 9110 §11.1)', `bearer ${first}`],
    ['more than one space', `Bearer  ${first}`],
  ])('%s opens', (_what, authorization) => {
    expect(access.refusalOf(asked(authorization))).toBeUndefined();
  });

  test('without one the challenge names no error (RFC 6750 §3.1), and the words say what to send', () => {
    const refusal = access.refusalOf(asked());
    expect(refusal).toMatchObject({ status: 401, challenge: 'Bearer realm="sluice"' });
    expect(refusal?.message).toContain('Authorization: Bearer');
  });

  test.each([
    ['another token', `Bearer ${newToken()}`],
    ['a beginning', `Bearer ${first.slice(0, -1)}`],
    ['more than it', `Bearer ${first}a`],
    ['two', `Bearer ${first} ${second}`],
    ['both in one field', `Bearer ${first}, Bearer ${second}`],
    ['nothing', 'Bearer'],
    ['an empty one', 'Bearer '],
    ['a comment of the file', 'Bearer # who'],
    ['another scheme', `Basic ${Buffer.from(`a:${first}`).toString('base64')}`],
    ['the token alone', first],
  ])('%s does not', (_what, authorization) => {
    const refusal = access.refusalOf(asked(authorization));
    expect(refusal).toMatchObject({ status: 401, challenge: 'Bearer realm="sluice", error="invalid_token"' });
    expect(JSON.stringify(refusal)).not.toContain(first.slice(0, 16));
  });

  test('they are asked for on loopback too', async () => {
    const local = await follow('127.0.0.1', { tokenFile: join(dir, 'tokens') });
    expect(local.refusalOf(asked(undefined, 'localhost'))?.status).toBe(401);
    local.stop();
  });
});

test('a file that is replaced is in force, and one that cannot be used leaves the old one', async () => {
  const path = join(dir, 'replaced');
  const [old, next] = [newToken(), newToken()];
  const place = async (text: string): Promise<void> => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
    process.emit('SIGHUP', 'SIGHUP');
  };
  await writeFile(path, old);
  const said: string[] = [];
  const noted = new Set<() => void>();
  const note = (_fields: unknown, message: unknown): void => {
    said.push(String(message));
    for (const wake of noted) wake();
  };
  const heard = async (text: string): Promise<void> => {
    while (!said.some((message) => message.includes(text))) {
      await new Promise<void>((resolve) => noted.add(resolve));
      noted.clear();
    }
  };
  const log = Object.assign(Object.create(silent), { info: note, error: note });
  const access = await followAdminAccess({ host: '0.0.0.0', tokenFile: path, open: false, variable, clock: systemClock, log });
  const opens = (token: string): boolean => access.refusalOf(asked(`Bearer ${token}`)) === undefined;
  expect([opens(old), opens(next)]).toEqual([true, false]);
  await place(`${next}\n${old}\n`);
  await heard('is in force');
  expect([opens(old), opens(next)]).toEqual([true, true]);
  await place('short');
  await heard('was not taken');
  expect([opens(old), opens(next)]).toEqual([true, true]);
  access.stop();
});

describe('the file of tokens', () => {
  test.each([
    ['nothing', '\n\n'],
    ['comments alone', '# a\n'],
    ['a short token', 'a'.repeat(31)],
    ['a long one', 'a'.repeat(513)],
    ['a token with a space', `${'a'.repeat(20)} ${'b'.repeat(20)}`],
    ['too many', `${newToken()}\n`.repeat(TOKENS_MAX + 1)],
  ])('with %s cannot be used, and the problem quotes nothing of it', (_what, text) => {
    expect(() => parseAdminTokens(text)).toThrow(ConfigError);
    const problem = (() => {
      try {
        return parseAdminTokens(text);
      } catch (error) {
        return (error as Error).message;
      }
    })();
    expect(problem).not.toMatch(/aaaa|[0-9a-f]{32}/);
  });

  test(`may have ${TOKENS_MAX}`, () => {
    expect(parseAdminTokens(`${newToken()}\n`.repeat(TOKENS_MAX))).toHaveLength(TOKENS_MAX);
  });
});

describe('without one', () => {
  test.each(['0.0.0.0', '::', '10.0.0.1', 'sluice', ''])(
    'who listens on "%s" answers nobody, and says which variable to set',
    async (host) => {
      const { refusalOf } = await follow(host);
      for (const name of ['127.0.0.1:9100', 'localhost', undefined])
        expect(refusalOf({ authorization: undefined, host: name })).toMatchObject({
          status: 403,
          message: expect.stringContaining(variable),
        });
    },
  );

  test('who was told to be open answers everybody', async () => {
    expect((await follow('0.0.0.0', { open: true })).refusalOf(asked())).toBeUndefined();
  });

  test.each(['127.0.0.1', '127.0.0.5', 'localhost', '::1'])('who listens on %s answers whoever means this machine', async (host) => {
    const { refusalOf } = await follow(host);
    const names = ['127.0.0.1', '127.0.0.1:9100', 'localhost:9100', 'LOCALHOST', '[::1]:9100', 'sluice.localhost:80', '127.9.9.9'];
    for (const name of names) expect(refusalOf(asked(undefined, name))).toBeUndefined();
    expect(refusalOf({ authorization: undefined, host: undefined })).toBeUndefined();
  });

  test.each([
    'evil.example',
    'evil.example:9100',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    'xlocalhost',
    '[::2]',
    '10.0.0.1',
    'a@localhost.b',
    '127.0.0.1:80:x',
  ])('and nobody who came by the name %s, as a page does whose name was made to lead here (DNS rebinding)', async (name) => {
    expect((await follow('127.0.0.1')).refusalOf(asked(undefined, name))).toMatchObject({ status: 403 });
  });
});

test('who is refused sees that an app is alive, whether it is ready and what is unmet, and nothing else', async () => {
  const { refusalOf } = await follow('0.0.0.0');
  const refusal = refusalOf(asked());
  const readiness = new Readiness();
  const metrics = createMetrics('test');
  readiness.note('blobs', () => 'site/secret.txt is damaged');
  const answer = (path: string) => answerOperations(path, readiness, metrics, refusal);
  expect(await answer('/healthz')).toMatchObject({ status: 200 });
  expect(await answer('/readyz')).toMatchObject({ status: 200, body: '{"ready":true}\n' });
  readiness.require('broker', () => 'nats://10.0.0.1 is away');
  readiness.require('catalog', () => undefined);
  expect(await answer('/readyz')).toMatchObject({ status: 503, body: '{"ready":false,"unmet":["broker"]}\n' });
  expect(await answer('/metrics')).toMatchObject({
    status: 403,
    contentType: 'application/json',
    body: expect.not.stringContaining('process_'),
  });
});
