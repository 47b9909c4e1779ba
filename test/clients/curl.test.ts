/** The sites of the example file as curl meets them, over HTTP/2 with a certificate that it verifies. */
import { execFile } from 'node:child_process';
import { readFile, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { contentOf, temporaryDirectory } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ExampleSites } from './example-sites.ts';

const run = promisify(execFile);

const WWW = 'https://www.example.com';
const TEXT = 'A line of text that compresses well.\n'.repeat(500);
const FILM = contentOf(6 * 1024 * 1024, 'film');
const PARTS = 20;
const part = (number: number): Buffer => contentOf(100_000, `part ${number}`);

describe('curl', () => {
  const cleanup = new AsyncDisposableStack();
  let sites: ExampleSites;
  let directory: string;

  beforeAll(async () => {
    sites = cleanup.use(await ExampleSites.start());
    directory = cleanup.use(await temporaryDirectory()).path;
    await sites.publish('site/text.txt', TEXT, { 'content-type': 'text/plain' });
    await sites.publish('site/film.mp4', FILM, { 'content-type': 'video/mp4' });
    for (let number = 1; number <= PARTS; number++) await sites.publish(`site/part-${number}.bin`, part(number), {});
    await sites.whenCoded(`${WWW}/text.txt`);
  }, 120_000);
  afterAll(() => cleanup.disposeAsync());

  const inDirectory = (name: string): string => join(directory, name);
  /** @returns what it prints. Rejects with its exit code. */
  async function curl(...options: readonly string[]): Promise<string> {
    const route = ['--connect-to', `:443:127.0.0.1:${sites.tlsPort}`, '--connect-to', `:80:127.0.0.1:${sites.edge.port}`];
    const always = ['--silent', '--show-error', '--http2', '--cacert', sites.authorityFile, ...route];
    const { stdout } = await run('curl', [...always, ...options], { maxBuffer: 64 * 1024 * 1024 });
    return stdout;
  }

  test('--http2 --compressed reads coded text as what was uploaded', async () => {
    const file = inDirectory('text.txt');
    const facts = '%{http_version} %{response_code} %header{content-encoding} %{size_download}';
    const told = await curl('--compressed', '--output', file, '--write-out', facts, `${WWW}/text.txt`);
    expect(await readFile(file, 'utf8')).toBe(TEXT);
    const [version, status, coding, size] = told.split(' ');
    expect([version, status]).toEqual(['2', '200']);
    expect(coding).toMatch(/^(?:br|zstd)$/);
    expect(Number(size)).toBeLessThan(TEXT.length / 10);
  });

  test('--parallel reads twenty files over one connection', async () => {
    const facts = '%{http_version} %{response_code} %{num_connects}\n';
    const options = ['--parallel', '--parallel-max', '20', '--write-out', facts, '--output', inDirectory('part-#1.bin')];
    const lines = (await curl(...options, `${WWW}/part-[1-${PARTS}].bin`)).trim().split('\n');
    expect(lines).toHaveLength(PARTS);
    expect(lines.every((line) => line.startsWith('2 200 '))).toBe(true);
    expect(lines.filter((line) => !line.endsWith(' 0'))).toHaveLength(1);
    for (let number = 1; number <= PARTS; number++) {
      expect(part(number).equals(await readFile(inDirectory(`part-${number}.bin`)))).toBe(true);
    }
  });

  test('--continue-at - resumes a download where it was broken off, and knows when there is nothing left', async () => {
    const file = inDirectory('film.mp4');
    await writeFile(file, FILM);
    await truncate(file, 1_234_567);
    const facts = '%{response_code} %{size_download}';
    const resume = () => curl('--continue-at', '-', '--output', file, '--write-out', facts, `${WWW}/film.mp4`);
    expect(await resume()).toBe(`206 ${FILM.byteLength - 1_234_567}`);
    expect(FILM.equals(await readFile(file))).toBe(true);
    expect(await resume()).toMatch(/^416 /);
    expect(FILM.equals(await readFile(file))).toBe(true);
  });

  test('a range beyond the end is answered 416 with the size', async () => {
    const facts = '%{response_code} %header{content-range}';
    const range = ['--range', `${FILM.byteLength}-`, '--output', '/dev/null'];
    expect(await curl(...range, '--write-out', facts, `${WWW}/film.mp4`)).toBe(`416 bytes */${FILM.byteLength}`);
  });

  test('--etag-save and --etag-compare read a file again only when it has changed', async () => {
    const url = `${WWW}/changing.txt`;
    const [etag, file] = [inDirectory('etag'), inDirectory('changing.txt')];
    const options = [
      '--etag-save',
      etag,
      '--etag-compare',
      etag,
      '--output',
      file,
      '--write-out',
      '%{response_code} %{size_download}',
      url,
    ];
    const publish = (body: string) => sites.publish('site/changing.txt', body, { 'content-type': 'text/plain' });
    await publish('first');
    expect(await curl(...options)).toBe('200 5');
    expect(await curl(...options)).toBe('304 0');
    await publish('second');
    expect(await curl(...options)).toBe('200 6');
    expect(await curl(...options)).toBe('304 0');
    expect(await readFile(file, 'utf8')).toBe('second');
  });

  test('--time-cond reads a file only when it is newer than the copy', async () => {
    const [file, head] = [inDirectory('copy.txt'), inDirectory('head')];
    const options = ['--remote-time', '--output', file, '--dump-header', head];
    /** As it came: curl itself reports a 304 also when it was sent the same again. */
    const statusLine = async (...condition: string[]) => {
      await curl(...options, ...condition, `${WWW}/text.txt`);
      return (await readFile(head, 'utf8')).split('\n', 1)[0]?.trim();
    };
    expect(await statusLine()).toBe('HTTP/2 200');
    const { mtimeMs } = await stat(file);
    expect(await statusLine('--time-cond', file)).toBe('HTTP/2 304');
    const before = new Date(mtimeMs - 1_000);
    await utimes(file, before, before);
    expect(await statusLine('--time-cond', file)).toBe('HTTP/2 200');
  });

  test('--hsts keeps that a site is reached by HTTPS alone, and --location follows the redirect to it', async () => {
    const file = inDirectory('hsts');
    const kept = ['--hsts', file, '--output', '/dev/null'];
    const facts = ['--location', '--write-out', '%{num_redirects} %{url_effective} %{response_code}'];
    const visit = () => curl(...kept, ...facts, 'http://www.example.com/text.txt');
    expect(await visit()).toBe(`1 ${WWW}/text.txt 200`);
    expect(await readFile(file, 'utf8')).toContain('.www.example.com');
    expect(await visit()).toBe(`0 ${WWW}/text.txt 200`);
  });
});
