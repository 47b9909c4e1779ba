import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { originFixture } from '../../testing/origin.fixture.ts';

const EXAMPLE = join(import.meta.dirname, '../../../../../deploy/buckets.example.yaml');

async function fieldsOf(url: string): Promise<(string | null)[]> {
  const { headers } = await fetch(url, { method: 'HEAD' });
  return ['cache-control', 'cdn-cache-control', 'x-amz-meta-tags', 'x-amz-meta-regions'].map((name) => headers.get(name));
}

test('uploads get what the buckets file says of their bucket, whole or in parts, unless they say it themselves', async () => {
  await using origin = await originFixture({ config: { ORIGIN_BUCKETS_FILE: EXAMPLE } });
  const put = (path: string, headers: Record<string, string> = {}) => fetch(`${origin.url}/${path}`, { method: 'PUT', body: 'x', headers });
  await put('site/a');
  await put('site/b', { 'cache-control': 'no-store', 'x-amz-meta-tags': 'own' });
  await put('films/a');
  await put('else/a');
  const created = await (await fetch(`${origin.url}/site/c?uploads`, { method: 'POST' })).text();
  const id = /<UploadId>([^<]+)/.exec(created)?.[1];
  const part = await put(`site/c?partNumber=1&uploadId=${id}`);
  const list = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.get('etag')}</ETag></Part></CompleteMultipartUpload>`;
  expect((await fetch(`${origin.url}/site/c?uploadId=${id}`, { method: 'POST', body: list })).status).toBe(200);
  expect(await Promise.all(['site/a', 'site/b', 'site/c', 'films/a', 'else/a'].map((path) => fieldsOf(`${origin.url}/${path}`)))).toEqual([
    ['max-age=60', 'max-age=86400', 'site', null],
    ['no-store', 'max-age=86400', 'own', null],
    ['max-age=60', 'max-age=86400', 'site', null],
    [null, null, null, 'US,IN'],
    [null, null, null, null],
  ]);
});

test("what a copy replaces it gets like an upload; what it keeps is the source's", async () => {
  await using origin = await originFixture({ config: { ORIGIN_BUCKETS_FILE: EXAMPLE } });
  await fetch(`${origin.url}/else/a`, { method: 'PUT', body: 'x', headers: { 'x-amz-tagging': 'own' } });
  const copy = async (name: string, headers: Record<string, string>) => {
    const url = `${origin.url}/films/${name}`;
    expect((await fetch(url, { method: 'PUT', headers: { 'x-amz-copy-source': '/else/a', ...headers } })).status).toBe(200);
    return fieldsOf(url);
  };
  expect(await copy('kept', {})).toEqual([null, null, 'own', null]);
  expect(await copy('replaced', { 'x-amz-metadata-directive': 'REPLACE' })).toEqual([null, null, 'own', 'US,IN']);
});

test('versions are kept as the buckets file says, and S3 clients are told whether there are any', async () => {
  await using origin = await originFixture({ config: { ORIGIN_BUCKETS_FILE: EXAMPLE } });
  const kept = async (bucket: string): Promise<number> => {
    const versions: string[] = [];
    for (let number = 0; number < 12; number += 1) {
      const stored = await fetch(`${origin.url}/${bucket}/a`, { method: 'PUT', body: String(number) });
      versions.push(stored.headers.get('x-amz-version-id') as string);
    }
    const reads = await Promise.all(versions.map((id) => fetch(`${origin.url}/${bucket}/a?versionId=${id}`)));
    return reads.filter(({ status }) => status === 200).length;
  };
  expect([await kept('site'), await kept('films'), await kept('else')]).toEqual([10, 1, 2]);
  const told = async (bucket: string) =>
    (await (await fetch(`${origin.url}/${bucket}?versioning`)).text()).includes('<Status>Enabled</Status>');
  expect([await told('site'), await told('films')]).toEqual([true, false]);
});

test('a changed buckets file is in force for the next upload, one with a problem is not', async () => {
  await using dir = await temporaryDirectory();
  const path = join(dir.path, 'buckets.yaml');
  await writeFile(path, 'buckets: { site: { cacheControl: one } }');
  await using origin = await originFixture({ config: { ORIGIN_BUCKETS_FILE: path } });
  const stored = async () => {
    await fetch(`${origin.url}/site/a`, { method: 'PUT', body: 'x' });
    return (await fieldsOf(`${origin.url}/site/a`))[0];
  };
  expect(await stored()).toBe('one');
  const replace = async (text: string): Promise<void> => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  await replace('buckets: { site: { colour: red } }');
  await replace('buckets: { site: { cacheControl: two } }');
  await eventually(async () => expect(await stored()).toBe('two'));
  await expect(originFixture({ config: { ORIGIN_BUCKETS_FILE: '/nowhere' } })).rejects.toThrow(/ORIGIN_BUCKETS_FILE/);
});
