import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { CredentialsDirectory, CredentialsError } from './mod.ts';
import { OPTIONS } from './secured-broker.fixture.ts';

const DAY_MS = 24 * 3_600_000;

async function contentsOf(dir: string): Promise<Record<string, string>> {
  const files = (await readdir(dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const contents = files.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name);
    return [path.slice(dir.length + 1), await readFile(path, 'utf8')] as const;
  });
  return Object.fromEntries((await Promise.all(contents)).sort());
}
const changed = (before: Record<string, string>, after: Record<string, string>): string[] =>
  Object.keys(after).filter((path) => before[path] !== after[path]);

describe('a credentials directory', () => {
  test('has for everyone a directory that only its owner can read, and no secret in what the broker reads of users', async () => {
    await using dir = await temporaryDirectory();
    const credentials = new CredentialsDirectory(join(dir.path, 'credentials'));
    const { users } = await credentials.fill(OPTIONS);
    expect(users).toEqual(['origin', 'controller', 'publisher', 'console', 'administrator', 'notifier', 'edge eu-1', 'edge us-1']);
    const contents = await contentsOf(credentials.path);
    expect(Object.keys(contents)).toEqual(
      expect.arrayContaining(['edges/US/us-1/nats.nk', 'edges/US/us-1/ca.pem', 'origin/nats.nk', 'broker/nats.conf']),
    );
    const seeds = Object.entries(contents).filter(([path]) => path.endsWith('nats.nk'));
    expect(new Set(seeds.map(([, seed]) => seed)).size).toBe(8);
    for (const [path, seed] of seeds) {
      expect(seed).toMatch(/^SU[A-Z2-7]{56}\n$/);
      expect((await stat(join(credentials.path, path))).mode & 0o777).toBe(0o600);
      expect(contents['broker/users.conf']).not.toContain(seed.trim());
    }
    for (const name of ['ca', 'broker', 'origin', 'edges/US/us-1'])
      expect((await stat(join(credentials.path, name))).mode & 0o777).toBe(0o700);
    // The key of the authority is where the authority is, and nowhere else.
    expect(Object.values(contents).filter((text) => text === contents['ca/ca-key.pem'])).toHaveLength(1);
  });

  test('filled again it keeps everything, also what was written into the configuration by hand', async () => {
    await using dir = await temporaryDirectory();
    const credentials = new CredentialsDirectory(join(dir.path, 'credentials'));
    await credentials.fill(OPTIONS);
    await writeFile(join(credentials.brokerDir, 'nats.conf'), 'port: 4333\n');
    const before = await contentsOf(credentials.path);
    expect((await credentials.fill(OPTIONS)).made).toEqual([]);
    expect(await contentsOf(credentials.path)).toEqual(before);
  });

  test('servers of a cluster get one configuration that a broker understands, and a certificate for all their names', async () => {
    await using dir = await temporaryDirectory();
    const credentials = new CredentialsDirectory(join(dir.path, 'credentials'));
    await credentials.fill(OPTIONS);
    const cluster = ['nats-1', 'nats-2', '::1'];
    expect((await credentials.fill({ ...OPTIONS, cluster })).made).toEqual(['the certificate of the broker']);
    const certificate = new X509Certificate(await readFile(join(credentials.brokerDir, 'server.pem')));
    expect(['nats-1', 'nats-2', 'localhost'].map((name) => certificate.checkHost(name))).not.toContain(undefined);
    expect(certificate.checkIP('::1')).toBeDefined();
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    const check = promisify(execFile)('nats-server', ['-t', '-c', 'cluster.conf'], {
      cwd: credentials.brokerDir,
      env: { ...process.env, NATS_SERVER_NAME: 'nats-1' },
    });
    expect((await check).stderr).toMatch(/configuration file .* is valid/);
    const text = await readFile(join(credentials.brokerDir, 'cluster.conf'), 'utf8');
    expect(text.match(/nats-route:.*:6222/g)).toEqual(['nats-route://nats-1:6222', 'nats-route://nats-2:6222', 'nats-route://[::1]:6222']);
    expect((await credentials.fill({ ...OPTIONS, cluster })).made).toEqual([]);
  });

  test('an edge that is added changes nobody else’s files, and one whose directory is removed is no user any more', async () => {
    await using dir = await temporaryDirectory();
    const credentials = new CredentialsDirectory(join(dir.path, 'credentials'));
    await credentials.fill(OPTIONS);
    const before = await contentsOf(credentials.path);
    const added = { id: 'in-1', region: 'IN' };
    expect(await credentials.fill({ ...OPTIONS, edges: [added] })).toMatchObject({
      made: ['edge in-1'],
      users: expect.arrayContaining(['edge us-1', 'edge in-1']),
    });
    const after = await contentsOf(credentials.path);
    expect(changed(before, after)).toEqual(['broker/users.conf', 'edges/IN/in-1/ca.pem', 'edges/IN/in-1/nats.nk']);
    await rm(credentials.dirOfEdge(added), { recursive: true });
    expect((await credentials.fill(OPTIONS)).users).not.toContain('edge in-1');
    expect((await contentsOf(credentials.path))['broker/users.conf']).toBe(before['broker/users.conf']);
  });

  test('what is rotated is made anew, alone; a name that nobody has is refused', async () => {
    await using dir = await temporaryDirectory();
    const credentials = new CredentialsDirectory(join(dir.path, 'credentials'));
    await credentials.fill(OPTIONS);
    const before = await contentsOf(credentials.path);
    expect((await credentials.fill({ ...OPTIONS, rotate: ['us-1', 'broker'] })).made).toEqual([
      'the certificate of the broker',
      'edge us-1',
    ]);
    expect(changed(before, await contentsOf(credentials.path))).toEqual([
      ...['broker/server-key.pem', 'broker/server.pem', 'broker/users.conf', 'edges/US/us-1/nats.nk'],
    ]);
    await expect(credentials.fill({ ...OPTIONS, rotate: ['us-9'] })).rejects.toThrow(
      'nobody is called "us-9"; there are broker, origin, controller',
    );
  });

  test('an admin token is made once, only its owner can read it, and rotated it goes on for one round behind the new one', async () => {
    await using dir = await temporaryDirectory();
    const credentials = new CredentialsDirectory(join(dir.path, 'credentials'));
    const tokens = async () => (await readFile(credentials.adminTokenFile, 'utf8')).split('\n');
    expect((await credentials.fill(OPTIONS)).made).toContain('the admin token');
    const [first, ...rest] = await tokens();
    expect([first, rest]).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), ['']]);
    expect((await stat(credentials.adminTokenFile)).mode & 0o777).toBe(0o600);
    expect(Object.values(await contentsOf(credentials.path)).filter((text) => text.includes(first as string))).toHaveLength(1);
    const rotate = { ...OPTIONS, rotate: ['admin-token'] };
    expect((await credentials.fill(rotate)).made).toEqual(['the admin token']);
    const [second, ...behind] = await tokens();
    expect([second === first, behind]).toEqual([false, [first, '']]);
    await credentials.fill(rotate);
    expect((await tokens()).slice(1)).toEqual([second, '']);
  });

  test('the certificate of the broker is for its names, of the authority, and replaced for another name and before it ends', async () => {
    await using dir = await temporaryDirectory();
    const credentials = new CredentialsDirectory(join(dir.path, 'credentials'));
    await credentials.fill({ ...OPTIONS, serverNames: ['nats.example.com', '10.0.0.7'] });
    const certificate = async () => new X509Certificate(await readFile(join(credentials.brokerDir, 'server.pem')));
    const first = await certificate();
    const authority = new X509Certificate(await readFile(join(credentials.path, 'ca/ca.pem')));
    expect(first.verify(authority.publicKey)).toBe(true);
    expect([first.checkHost('nats.example.com'), first.checkIP('10.0.0.7'), first.checkHost('localhost')]).toEqual([
      'nats.example.com',
      '10.0.0.7',
      undefined,
    ]);
    const filled = async (changes: Partial<typeof OPTIONS>) => (await credentials.fill({ ...OPTIONS, ...changes })).made;
    expect(await filled({ serverNames: ['10.0.0.7'] })).toEqual([]);
    expect(await filled({ serverNames: ['localhost'] })).toEqual(['the certificate of the broker']);
    const nowMs = OPTIONS.nowMs + 800 * DAY_MS;
    expect(await filled({ serverNames: ['localhost'], nowMs })).toEqual(['the certificate of the broker']);
    expect((await certificate()).validToDate.getTime()).toBeGreaterThan(nowMs + 700 * DAY_MS);
  });

  test.each([
    ['an authority without its key', 'ca/ca-key.pem', undefined, 'ca-key.pem is missing: put it back'],
    ['a seed that is none', 'origin/nats.nk', 'SUNOSEED', 'nats.nk holds no seed of an nkey: remove it'],
    ['an edge of another region', undefined, undefined, 'edge us-1 is of region US by'],
  ])('%s is told, with what to do', async (_title, path, text, message) => {
    await using dir = await temporaryDirectory();
    const credentials = new CredentialsDirectory(join(dir.path, 'credentials'));
    await credentials.fill(OPTIONS);
    if (path !== undefined) await (text === undefined ? rm(join(credentials.path, path)) : writeFile(join(credentials.path, path), text));
    const failure = await credentials
      .fill({ ...OPTIONS, edges: path === undefined ? [{ id: 'us-1', region: 'EU' }] : [] })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CredentialsError);
    expect((failure as Error).message).toContain(message);
    if (text !== undefined) expect((failure as Error).message).not.toContain(text);
  });
});
