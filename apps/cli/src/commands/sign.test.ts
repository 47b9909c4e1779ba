import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkSignedUrl } from '@sluice/signed-url';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { sluice } from '../captured-io.fixture.ts';

const secret = randomBytes(32);
const site = ['--site', 'members', '--key', 'k1', '--secret', secret.toString('base64')];
const admitted = (url: string, path: string, aheadSeconds = 0) =>
  checkSignedUrl('members', path, new URL(url).search, [{ id: 'k1', secret }], Date.now() / 1000 + aheadSeconds);

test('sign makes a link that opens what it names, for as long as it was told', async () => {
  const { exitCode, stdout, stderr } = await sluice('sign', 'https://members.example.com/a%20film.mp4?v=1', ...site, '--expires-in', '15m');
  expect([exitCode, stderr]).toEqual([0, '']);
  const url = stdout.trim();
  expect(url).toMatch(/^https:\/\/members\.example\.com\/a%20film\.mp4\?v=1&sluice-expires=\d+&sluice-key=k1&sluice-signature=[\w-]{43}$/);
  expect([admitted(url, '/a film.mp4'), admitted(url, '/a film.mp4', 14 * 60), admitted(url, '/a film.mp4', 16 * 60)]).toEqual([
    'granted',
    'granted',
    'expired',
  ]);
});

test('sign --prefix opens what is below a directory, and the secret may come from a file', async () => {
  await using dir = await temporaryDirectory();
  const file = join(dir.path, 'secret');
  await writeFile(file, `${secret.toString('base64')}\n`);
  const args = ['--site', 'members', '--key', 'k1', '--secret-file', file, '--prefix', '--json'];
  const { exitCode, io } = await sluice('sign', 'https://members.example.com/films/', ...args);
  expect(exitCode).toBe(0);
  const [{ url, expiresAt }] = io.documents as [{ url: string; expiresAt: string }];
  expect([admitted(url, '/films/a.mp4'), admitted(url, '/music/a.mp3')]).toEqual(['granted', 'refused']);
  expect(Math.abs(Date.parse(expiresAt) - Date.now() - 3_600_000)).toBeLessThan(60_000);
});

test.each([
  [['sign', 'members/film.mp4', ...site], 'must be a URL'],
  [['sign', 'https://a.org/films', ...site, '--prefix'], 'must end with a slash'],
  [['sign', 'https://a.org/films', ...site, '--expires-in', 'soon'], 'must be a duration'],
  [['sign', 'https://a.org/films', '--site', 'members', '--key', 'k1'], 'SLUICE_SIGNING_SECRET'],
  [['sign', 'https://a.org/films', '--site', 'members', '--key', 'k1', '--secret', 'c2hvcnQ='], 'at least 32 bytes'],
  [['sign', 'https://a.org/films', '--site', 'members', '--key', 'k1', '--secret-file', '/nowhere/x'], '--secret-file'],
])('%j is refused and says what to do', async (args, words) => {
  const { exitCode, stdout, stderr } = await sluice(...args);
  expect([exitCode, stdout]).toEqual([2, '']);
  expect(stderr).toContain(words);
  expect(stderr).not.toContain(secret.toString('base64'));
});
