import { DeleteObjectsCommand, ListObjectVersionsCommand, type ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { body, catalogFixture, fields } from '../../testing/catalog.fixture.ts';
import { UploadInParts } from '../../testing/multipart.fixture.ts';
import { errorCode, originFixture } from '../../testing/origin.fixture.ts';
import { s3Client } from '../../testing/s3-client.fixture.ts';

async function scene() {
  const origin = await originFixture({ config: { ORIGIN_VERSIONS_KEPT: 5 } });
  const url = `${origin.url}/site/a`;
  return {
    origin,
    url,
    put: async (content: string) => (await fetch(url, { method: 'PUT', body: content })).headers.get('x-sluice-version') as string,
    async [Symbol.asyncDispose]() {
      await origin[Symbol.asyncDispose]();
    },
  };
}

describe('versions over S3', () => {
  test('each one that is kept is read by its id, with its own ETag; one that is not is NoSuchVersion', async () => {
    await using it = await scene();
    const [first, second] = [await it.put('one'), await it.put('two')];
    const read = async (id: string) => {
      const response = await fetch(`${it.url}?versionId=${id}`);
      return [response.status, response.headers.get('x-amz-version-id'), await response.text()];
    };
    expect([await read(first), await read(second), await read('null')]).toEqual([
      [200, first, 'one'],
      [200, second, 'two'],
      [200, second, 'two'],
    ]);
    const head = await fetch(`${it.url}?versionId=${first}`, { method: 'HEAD' });
    expect([head.headers.get('content-length'), head.headers.get('x-amz-version-id')]).toEqual(['3', first]);
    const missing = await fetch(`${it.url}?versionId=123`);
    expect([missing.status, await errorCode(missing)]).toEqual([404, 'NoSuchVersion']);
    for (const wrong of ['abc', '-1', '99999999999999999999']) {
      const refused = await fetch(`${it.url}?versionId=${wrong}`);
      expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidArgument']);
    }
  });

  test('the current one tells the same of its upload by its id as without it', async () => {
    await using origin = await originFixture({ seams: { partMinBytes: 4 } });
    const upload = await UploadInParts.create(origin, '/site/a', {
      'x-amz-checksum-algorithm': 'CRC32C',
      'x-amz-checksum-type': 'FULL_OBJECT',
    });
    await upload.complete([await upload.part(1, 'four'), await upload.part(2, 'more')]);
    const id = (await fetch(`${origin.url}/site/a`)).headers.get('x-amz-version-id');
    const told = async (method: string, query: string) => {
      const { status, headers } = await fetch(`${origin.url}/site/a?${query}`, { method, headers: { 'x-amz-checksum-mode': 'ENABLED' } });
      const { date: _, 'x-amz-request-id': __, ...fields } = Object.fromEntries(headers);
      return { status, ...fields };
    };
    for (const method of ['GET', 'HEAD']) {
      expect(await told(method, `versionId=${id}`)).toEqual(await told(method, ''));
      expect(await told(method, `versionId=${id}`)).toMatchObject({ 'x-amz-checksum-crc32c': expect.any(String) });
      expect(await told(method, `partNumber=2&versionId=${id}`)).toMatchObject({
        'x-amz-mp-parts-count': '2',
        'content-range': 'bytes 4-7/8',
      });
    }
  });

  test('an earlier one that came in parts tells of its parts and its checksum, and does again when it is rolled back to', async () => {
    await using origin = await originFixture({ seams: { partMinBytes: 4 } });
    const url = `${origin.url}/site/a`;
    const upload = await UploadInParts.create(origin, '/site/a', { 'x-amz-checksum-algorithm': 'SHA256' });
    await upload.complete([await upload.part(1, 'four'), await upload.part(2, 'more')]);
    const id = (await fetch(url)).headers.get('x-amz-version-id');
    await fetch(url, { method: 'PUT', body: 'whole' });
    const told = async (query: string) => {
      const part = await fetch(`${url}?partNumber=2${query}`);
      const whole = await fetch(`${url}?${query}`, { method: 'HEAD', headers: { 'x-amz-checksum-mode': 'ENABLED' } });
      return [part.status, await part.text(), part.headers.get('x-amz-mp-parts-count'), whole.headers.get('x-amz-checksum-sha256')];
    };
    expect((await fetch(`${url}?partNumber=2`)).status).toBe(416);
    const expected = [206, 'more', '2', expect.stringMatching(/-2$/)];
    expect(await told(`&versionId=${id}`)).toEqual(expected);
    expect((await fetch(`${origin.url}/-/rollbacks`, { method: 'POST', body: '{"key":"site/a"}' })).status).toBe(200);
    expect(await told('')).toEqual(expected);
  });

  test('a removal of one version leaves the others, and never removes the current object by mistake', async () => {
    await using it = await scene();
    const [first, second] = [await it.put('one'), await it.put('two')];
    const remove = async (id: string) => (await fetch(`${it.url}?versionId=${id}`, { method: 'DELETE' })).status;
    expect([await remove(first), await remove('123')]).toEqual([204, 204]);
    expect(await (await fetch(it.url)).text()).toBe('two');
    expect((await fetch(`${it.url}?versionId=${first}`)).status).toBe(404);
    expect(await remove(second)).toBe(204);
    expect((await fetch(it.url)).status).toBe(404);
  });

  test('a batch that names all versions of a key, in the order of their listing, leaves none of them', async () => {
    await using it = await scene();
    for (const content of ['one', 'two', 'three']) await it.put(content);
    const client = s3Client(it.origin.url);
    const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: 'site' }));
    const Objects = Versions.map(({ Key, VersionId }) => ({ Key, VersionId }));
    const { Deleted } = await client.send(new DeleteObjectsCommand({ Bucket: 'site', Delete: { Objects } }));
    expect([Objects.length, Deleted?.length]).toEqual([3, 3]);
    expect((await fetch(it.url)).status).toBe(404);
    client.destroy();
  });

  test('an upload that is removed by its id uncovers the removal before it, as in S3: the key stays gone', async () => {
    await using it = await scene();
    await it.put('one');
    await fetch(it.url, { method: 'DELETE' });
    const second = await it.put('two');
    expect((await fetch(`${it.url}?versionId=${second}`, { method: 'DELETE' })).status).toBe(204);
    expect((await fetch(it.url)).status).toBe(404);
    const client = s3Client(it.origin.url);
    const left = await client.send(new ListObjectVersionsCommand({ Bucket: 'site' }));
    expect([left.Versions?.map(({ IsLatest }) => IsLatest), left.DeleteMarkers?.map(({ IsLatest }) => IsLatest)]).toEqual([
      [false],
      [true],
    ]);
    client.destroy();
  });

  test('a bucket is emptied by removing what is listed until nothing is', async () => {
    await using it = await scene();
    for (const content of ['one', 'two']) await it.put(content);
    await fetch(it.url, { method: 'DELETE' });
    await it.put('three');
    await fetch(`${it.origin.url}/site/b`, { method: 'PUT', body: 'b' });
    await fetch(`${it.origin.url}/site/b`, { method: 'DELETE' });
    const client = s3Client(it.origin.url);
    const rounds: number[] = [];
    for (;;) {
      const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: 'site' }));
      const Objects = [...Versions, ...DeleteMarkers].map(({ Key, VersionId }) => ({ Key, VersionId }));
      rounds.push(Objects.length);
      if (Objects.length === 0) break;
      await client.send(new DeleteObjectsCommand({ Bucket: 'site', Delete: { Objects } }));
    }
    expect(rounds).toEqual([6, 0]);
    client.destroy();
  });

  test('a condition beside the id of a version is refused, and so is an upload with parameters of other requests', async () => {
    await using it = await scene();
    const [first, second] = [await it.put('one'), await it.put('two')];
    const removal = await fetch(`${it.url}?versionId=${first}`, { method: 'DELETE', headers: { 'if-match': '"other"' } });
    expect([removal.status, await errorCode(removal)]).toEqual([501, 'NotImplemented']);
    const client = s3Client(it.origin.url);
    const Objects = [{ Key: 'a', VersionId: second, ETag: '"other"' }];
    const { Errors } = await client.send(new DeleteObjectsCommand({ Bucket: 'site', Delete: { Objects } }));
    expect(Errors?.map(({ Code }) => Code)).toEqual(['NotImplemented']);
    client.destroy();
    for (const query of ['partNumber=1', `versionId=${first}`]) {
      const upload = await fetch(`${it.url}?${query}`, { method: 'PUT', body: 'three' });
      expect([upload.status, await errorCode(upload)]).toEqual([400, 'InvalidArgument']);
    }
    expect(await (await fetch(it.url)).text()).toBe('two');
  });

  test('tags are read of any version, and changed of the current one only', async () => {
    await using it = await scene();
    const tagged = await fetch(it.url, { method: 'PUT', body: 'one', headers: { 'x-amz-tagging': 'old=1' } });
    const first = tagged.headers.get('x-amz-version-id');
    const second = await it.put('two');
    const tags = async (query: string) => (await fetch(`${it.url}?tagging${query}`)).text();
    const change = async (id: string | null) => {
      const body = '<Tagging><TagSet><Tag><Key>new</Key><Value>1</Value></Tag></TagSet></Tagging>';
      return (await fetch(`${it.url}?tagging&versionId=${id}`, { method: 'PUT', body })).status;
    };
    expect(await tags(`&versionId=${first}`)).toContain('<Key>old</Key>');
    expect(await tags('')).not.toContain('<Key>');
    expect([await change(first), await change('7')]).toEqual([501, 404]);
    expect((await fetch(`${it.url}?tagging&versionId=${first}`, { method: 'DELETE' })).status).toBe(501);
    expect(await tags('')).not.toContain('<Key>');
    expect([await change(second), await change('null')]).toEqual([200, 200]);
    expect(await tags('')).toContain('<Key>new</Key>');
  });

  test('a version copied onto its own key is current again', async () => {
    await using it = await scene();
    const first = await it.put('one');
    await it.put('two');
    const copied = await fetch(it.url, { method: 'PUT', headers: { 'x-amz-copy-source': `/site/a?versionId=${first}` } });
    expect([copied.status, await (await fetch(it.url)).text()]).toEqual([200, 'one']);
    const missing = await fetch(it.url, { method: 'PUT', headers: { 'x-amz-copy-source': '/site/a?versionId=7' } });
    expect([missing.status, await errorCode(missing)]).toEqual([404, 'NoSuchVersion']);
  });

  test("Amazon's client lists versions and removals, the newest of a key first, page by page", async () => {
    await using it = await scene();
    const [first, second] = [await it.put('one'), await it.put('three')];
    await fetch(it.url, { method: 'DELETE' });
    await fetch(`${it.origin.url}/site/dir/b c`, { method: 'PUT', body: 'b' });
    const client = s3Client(it.origin.url);
    const whole = await client.send(new ListObjectVersionsCommand({ Bucket: 'site', Delimiter: '/' }));
    expect(whole.Versions?.map(({ Key, VersionId, IsLatest, Size }) => [Key, VersionId, IsLatest, Size])).toEqual([
      ['a', second, false, 5],
      ['a', first, false, 3],
    ]);
    expect(whole.DeleteMarkers?.map(({ Key, IsLatest }) => [Key, IsLatest])).toEqual([['a', true]]);
    expect(whole.CommonPrefixes).toEqual([{ Prefix: 'dir/' }]);
    const seen: (string | undefined)[] = [];
    let page: ListObjectVersionsCommandOutput | undefined;
    do {
      const from = { KeyMarker: page?.NextKeyMarker, VersionIdMarker: page?.NextVersionIdMarker };
      page = await client.send(new ListObjectVersionsCommand({ Bucket: 'site', MaxKeys: 1, ...from }));
      seen.push(...[...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].map(({ Key }) => Key));
    } while (page.IsTruncated);
    expect(seen).toEqual(['a', 'a', 'a', 'dir/b c']);
    client.destroy();
  });

  test('whatever was uploaded and removed: pages of any size, joined, are the whole listing, by keys and from new to old', async () => {
    const step = fc.record({ key: fc.constantFrom('a', 'a/b', 'a/c', 'b', 'b/\uffff', 'b/\u{10000}'), isRemoval: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 25 }),
        fc.constantFrom('', 'a', 'a/', 'b/'),
        fc.constantFrom(undefined, '/'),
        fc.integer({ min: 1, max: 4 }),
        async (steps, prefix, delimiter, size) => {
          await using fixture = await catalogFixture({ versionsKept: () => 10 });
          const { catalog } = fixture;
          const model = new Map<string, number[]>();
          for (const { key, isRemoval } of steps) {
            const changed = isRemoval ? await catalog.remove(`site/${key}`) : await catalog.put(`site/${key}`, fields(), body('x'));
            if (changed !== undefined) model.set(key, [changed.version, ...(model.get(key) ?? [])]);
          }
          const keys = [...model.keys()]
            .filter((key) => key.startsWith(prefix))
            .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
          const expected = new Set<string>();
          for (const key of keys) {
            const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
            if (at !== -1) expected.add(key.slice(0, at + 1));
            else for (const version of model.get(key) ?? []) expected.add(`${key}@${version}`);
          }
          const seen: string[] = [];
          let marker: { key: string; version: number | undefined } | undefined;
          for (;;) {
            const page = catalog.versionListing.page({ bucket: 'site', prefix, delimiter }, marker, size);
            seen.push(...page.entries.map((entry) => (entry.kind === 'prefix' ? entry.prefix : `${entry.key}@${entry.version}`)));
            const last = page.entries.at(-1);
            if (!page.truncated || last === undefined) break;
            marker = last.kind === 'prefix' ? { key: last.prefix, version: undefined } : { key: last.key, version: last.version };
          }
          expect(seen).toEqual([...expected]);
        },
      ),
      { numRuns: 80 },
    );
  }, 60_000);
});
