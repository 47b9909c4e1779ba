/** The s3 source at a server that nobody here wrote. */
import { createHash, randomBytes } from 'node:crypto';
import { CopyObjectCommand, DeleteObjectCommand, PutObjectTaggingCommand } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { describe, expect, test } from 'vitest';
import { readS3Notification } from '../../domain/s3-notification.ts';
import { RevisionGoneError, SourceAwayError, type SourceObject, UnusableObjectError } from '../../services/source-port.ts';
import { type S3BucketFixture, s3BucketFixture, s3Server, toArray } from '../../testing/s3-bucket.fixture.ts';
import type { S3Account } from '../../testing/s3-server.fixture.ts';
import type { S3Source } from './s3-source.ts';

const server = s3Server();
const account = server as S3Account;

async function listed(source: S3Source, prefix = ''): Promise<SourceObject[]> {
  return (await toArray(source.list(prefix))).flat();
}

async function found(source: S3Source, key: string): Promise<SourceObject> {
  const object = await source.find(key);
  if (object === undefined) throw new Error(`${key} is not there`);
  return object;
}

async function contentOf(source: S3Source, object: SourceObject, range?: { offset: number; length: number }): Promise<Buffer> {
  return Buffer.concat(await toArray((await source.open(object, range)).chunks));
}

describe.skipIf(server === undefined)('the s3 source', () => {
  test('lists every object in the order of its bytes, whatever signs its key has, and finds each as it is listed', async () => {
    using bucket = await s3BucketFixture(account);
    const paths = [
      'a',
      'a b+c',
      'a/b',
      'a/b/',
      'a//b',
      'q?#%25%&=',
      '<&>"\'',
      '%2F',
      '+',
      'ü/é',
      '\u{1F600}',
      '\uFFFD~',
      ' ',
      '\\',
      '.x',
      '~',
    ];
    for (const path of paths) await bucket.put(path, path);
    const source = bucket.source();
    const objects = await listed(source);
    const expected = paths.map((path) => `${bucket.name}/${path}`).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(objects.map(({ key }) => key)).toEqual(expected);
    for (const object of objects) {
      expect(await source.find(object.key)).toEqual(object);
      expect((await contentOf(source, object)).toString()).toBe(object.key.slice(bucket.name.length + 1));
    }
  });

  test('gives pages of at most a thousand, and all of them', async () => {
    using bucket = await s3BucketFixture(account);
    const paths = Array.from({ length: 1_100 }, (_, index) => `file-${String(index).padStart(4, '0')}`);
    for (let at = 0; at < paths.length; at += 50) await Promise.all(paths.slice(at, at + 50).map((path) => bucket.put(path, '')));
    const pages = await toArray(bucket.source().list(''));
    expect(pages.map(({ length }) => length)).toEqual([1_000, 100]);
    expect(pages.flat().map(({ key }) => key)).toEqual(paths.map((path) => `${bucket.name}/${path}`));
  });

  test('a prefix of the bucket is content under another name, and nothing else is', async () => {
    using bucket = await s3BucketFixture(account);
    for (const path of ['www/', 'www/index.html', 'www/img/logo.svg', 'www-old/index.html', 'index.html']) {
      await bucket.put(path, path.endsWith('/') ? '' : path);
    }
    const source = bucket.source({ prefix: 'www/', name: 'site' });
    expect((await listed(source)).map(({ key }) => key)).toEqual(['site/img/logo.svg', 'site/index.html']);
    for (const prefix of ['s', 'site', 'site/', 'site/im', 'site/img/']) expect(await listed(source, prefix)).not.toEqual([]);
    for (const prefix of ['other', 'site/none', 'sites', 'site/img/logo.svg/']) expect(await listed(source, prefix)).toEqual([]);
    expect((await contentOf(source, await found(source, 'site/index.html'))).toString()).toBe('www/index.html');
    expect(await source.find(`${bucket.name}/index.html`)).toBeUndefined();
    expect(await source.find('site/img')).toBeUndefined();
  });

  test('what can be no content key and the markers of folders are left out; the former are counted and told once', async () => {
    using bucket = await s3BucketFixture(account);
    for (const path of ['../up', './d', 'x\ny', 'a/../b', 'ok']) await bucket.put(path, 'x');
    await bucket.put('folder/', '');
    const warnings: object[] = [];
    const leftOut: string[] = [];
    const log = { warn: (fields: object) => warnings.push(fields) } as never;
    const source = bucket.source({ log, onLeftOut: (path, problem) => leftOut.push(`${path} ${problem}`) });
    expect((await listed(source)).map(({ key }) => key)).toEqual([`${bucket.name}/ok`]);
    expect(leftOut).toHaveLength(4);
    expect(leftOut).toContain('x%0Ay contains a control character');
    expect(warnings).toEqual([expect.objectContaining({ example: { path: '..%2Fup', problem: 'has a "." or ".." segment' } })]);
    expect(await source.find(`${bucket.name}/folder/`)).toBeUndefined();
  });

  test('what a service says of an object is what it is served with', async () => {
    using bucket = await s3BucketFixture(account);
    await bucket.put('page', 'hello', {
      ContentType: 'text/html; charset=utf-8',
      CacheControl: 'max-age=60',
      ContentEncoding: 'aws-chunked,gzip',
      ContentLanguage: 'de',
      ContentDisposition: 'inline',
      Expires: new Date('2030-01-01T00:00:00Z'),
      WebsiteRedirectLocation: '/elsewhere',
      Metadata: { regions: 'us,IN', tags: 'v41, home', 'cdn-cache-control': 'max-age=600', color: 'blue' },
      Tagging: 'env=prod&v42=',
    });
    const source = bucket.source();
    const object = await found(source, `${bucket.name}/page`);
    const description = await source.describe(object);
    expect(description.fields).toEqual({
      contentType: 'text/html; charset=utf-8',
      cacheControl: 'max-age=60',
      cdnCacheControl: 'max-age=600',
      contentEncoding: 'gzip',
      contentLanguage: 'de',
      contentDisposition: 'inline',
      expires: 'Tue, 01 Jan 2030 00:00:00 GMT',
      redirectLocation: '/elsewhere',
      meta: { color: 'blue' },
      regions: ['US', 'IN'],
      tags: ['v41', 'home', 'env=prod', 'v42'],
    });
    expect(description.etag).toBe(createHash('md5').update('hello').digest('hex'));
    expect(Math.abs(Date.parse(description.modifiedAt) - Date.now())).toBeLessThan(60_000);
    const { chunks, close, ...opened } = await source.open(object);
    await close();
    expect(opened).toEqual(description);
  });

  test('without a type the extension of the key decides', async () => {
    using bucket = await s3BucketFixture(account);
    const source = bucket.source();
    await bucket.put('style.css', 'a{}', { ContentType: 'binary/octet-stream' });
    await bucket.put('thing', 'x', { ContentType: 'binary/octet-stream' });
    const typeOf = async (path: string) => (await source.describe(await found(source, `${bucket.name}/${path}`))).fields.contentType;
    expect([await typeOf('style.css'), await typeOf('thing')]).toEqual(['text/css', 'application/octet-stream']);
  });

  test('fields that a manifest cannot have are left out and counted, regions that cannot be read refuse the object', async () => {
    using bucket = await s3BucketFixture(account);
    await bucket.put('odd', 'x', {
      CacheControl: `x="${'y'.repeat(1_100)}"`,
      Metadata: { color: 'blue', tags: 'ok,not ok' },
      Tagging: 'two%20words=1',
    });
    await bucket.put('placed', 'x', { Metadata: { regions: 'US,,IN' } });
    const dropped: string[] = [];
    const source = bucket.source({ onDropped: (_, header) => dropped.push(header) });
    const { fields } = await source.describe(await found(source, `${bucket.name}/odd`));
    expect(fields).toMatchObject({ meta: { color: 'blue' }, tags: ['ok'] });
    expect(fields.cacheControl).toBeUndefined();
    expect(dropped).toEqual(['cache-control', 'x-amz-meta-tags']);
    const refused = source.open(await found(source, `${bucket.name}/placed`));
    await expect(refused).rejects.toThrow(UnusableObjectError);
    await expect(refused).rejects.toThrow(/x-amz-meta-regions: each name must be .* correct it at the source/);
  });

  test('another revision after every change of bytes or fields, the same revision of the bytes while they are equal', async () => {
    using bucket = await s3BucketFixture(account);
    const source = bucket.source();
    const key = `${bucket.name}/a`;
    const revisions: SourceObject[] = [];
    const put = async (content: string, color: string): Promise<void> => {
      await bucket.put('a', content, { Metadata: { color } });
      revisions.push(await found(source, key));
    };
    await put('one', 'blue');
    await put('one', 'red');
    await put('two', 'red');
    await put('one', 'blue');
    expect(new Set(revisions.map(({ revision }) => revision)).size).toBe(4);
    const [first, second, third, fourth] = revisions.map(({ bytesRevision }) => bytesRevision);
    expect([second, fourth]).toEqual([first, first]);
    expect(third).not.toBe(first);
    expect(await listed(source)).toEqual([revisions[3]]);
  });

  test('an object that has changed or is gone is told apart from what was found', async () => {
    using bucket = await s3BucketFixture(account);
    const source = bucket.source();
    await bucket.put('a', 'one', {});
    const object = await found(source, `${bucket.name}/a`);
    await bucket.put('a', 'two');
    await expect(source.open(object)).rejects.toThrow(RevisionGoneError);
    await expect(source.open(object, { offset: 1, length: 1 })).rejects.toThrow(RevisionGoneError);
    await expect(source.describe(object)).rejects.toThrow(RevisionGoneError);
    await bucket.client.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: 'a' }));
    await expect(source.open(object)).rejects.toThrow(RevisionGoneError);
    await expect(source.describe(object)).rejects.toThrow(RevisionGoneError);
    expect(await source.find(object.key)).toBeUndefined();
    await expect(source.open({ ...object, revision: 'of a directory' })).rejects.toThrow(RevisionGoneError);
  });

  test('the fields of another second are not those that were found', async () => {
    using bucket = await s3BucketFixture(account);
    const source = bucket.source();
    await bucket.put('a', 'one', { Metadata: { color: 'blue' } });
    const object = await found(source, `${bucket.name}/a`);
    const [size, modified, etag] = object.revision.split('.');
    const earlier = { ...object, revision: `${size}.${Number(modified) - 2_000}.${etag}` };
    await expect(source.describe(earlier)).rejects.toThrow(RevisionGoneError);
  });

  test('tags of an object are read again whenever it is described', async () => {
    using bucket = await s3BucketFixture(account);
    const source = bucket.source();
    await bucket.put('a', 'one');
    const object = await found(source, `${bucket.name}/a`);
    expect((await source.describe(object)).fields.tags).toEqual([]);
    const Tagging = { TagSet: [{ Key: 'v7', Value: '' }] };
    await bucket.client.send(new PutObjectTaggingCommand({ Bucket: bucket.name, Key: 'a', Tagging }));
    expect((await source.describe(object)).fields.tags).toEqual(['v7']);
  });

  test('a large object of several parts is read whole, by parts, and no further than it is wanted', async () => {
    using bucket = await s3BucketFixture(account);
    const content = randomBytes(12 * 1024 * 1024);
    await new Upload({
      client: bucket.client,
      params: { Bucket: bucket.name, Key: 'large', Body: content },
      partSize: 5 * 1024 * 1024,
    }).done();
    const source = bucket.source();
    const object = await found(source, `${bucket.name}/large`);
    expect(object.size).toBe(content.byteLength);
    expect((await contentOf(source, object)).equals(content)).toBe(true);
    for (const [offset, length] of [
      [0, 1],
      [5 * 1024 * 1024 - 3, 7],
      [content.byteLength - 1, 1],
      [1, content.byteLength - 1],
    ] as const) {
      expect((await contentOf(source, object, { offset, length })).equals(content.subarray(offset, offset + length))).toBe(true);
    }
    await expect(source.open(object, { offset: content.byteLength - 1, length: 2 })).rejects.toThrow(RangeError);
    // More than there are connections: each is let go of.
    for (let count = 0; count < 40; count += 1) {
      const { chunks } = await source.open(object);
      for await (const chunk of chunks) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        break;
      }
      const opened = await source.open(object);
      await opened.close();
      await opened.close();
      await expect(toArray(opened.chunks)).rejects.toThrow('closed');
    }
  });

  test('an object of no bytes has no chunks', async () => {
    using bucket = await s3BucketFixture(account);
    await bucket.put('empty', '');
    const source = bucket.source();
    expect(await contentOf(source, await found(source, `${bucket.name}/empty`))).toHaveLength(0);
  });

  test('an object that is written again while it is read: all of the old bytes, or an error', async () => {
    using bucket = await s3BucketFixture(account);
    const [before, after] = [Buffer.alloc(16 * 1024 * 1024, 'a'), Buffer.alloc(16 * 1024 * 1024, 'b')];
    await bucket.put('a', before);
    const source = bucket.source();
    const { chunks } = await source.open(await found(source, `${bucket.name}/a`));
    const read: Uint8Array[] = [];
    try {
      for await (const chunk of chunks) {
        if (read.length === 0) await bucket.put('a', after);
        read.push(chunk);
      }
    } catch (error) {
      expect((error as { retryable?: boolean }).retryable).toBe(true);
      return;
    }
    expect(Buffer.concat(read).equals(before)).toBe(true);
  });

  test('a copy onto itself with other fields is another revision with the same bytes', async () => {
    using bucket = await s3BucketFixture(account);
    const source = bucket.source();
    await bucket.put('a', 'one', { Metadata: { color: 'blue' } });
    const object = await found(source, `${bucket.name}/a`);
    const copy = {
      Bucket: bucket.name,
      Key: 'a',
      CopySource: `${bucket.name}/a`,
      MetadataDirective: 'REPLACE',
      Metadata: { color: 'red' },
    } as const;
    await bucket.client.send(new CopyObjectCommand(copy));
    const changed = await found(source, `${bucket.name}/a`);
    expect(changed.revision).not.toBe(object.revision);
    expect(changed.bytesRevision).toBe(object.bytesRevision);
    expect((await source.describe(changed)).fields.meta).toEqual({ color: 'red' });
  });

  test('a bucket that is not there and credentials that are wrong are told with what to do, and no secret', async () => {
    using bucket = await s3BucketFixture(account);
    await bucket.put('a', 'one');
    const object = await found(bucket.source(), `${bucket.name}/a`);
    const cases: [Partial<ConstructorParameters<typeof S3Source>[0]>, string][] = [
      [{ bucket: 'there-is-no-such-bucket' }, 'no bucket of this name'],
      [{ credentials: { accessKeyId: 'NOBODY', secretAccessKey: 'a-very-secret-text' } }, 'does not know the access key'],
      [{ credentials: { accessKeyId: account.accessKeyId, secretAccessKey: 'a-very-secret-text' } }, 'does not belong to the access key'],
    ];
    for (const [options, words] of cases) {
      const source = bucket.source(options);
      for (const attempt of [() => toArray(source.list('')), () => source.find(`${options.bucket ?? bucket.name}/a`)]) {
        const error = await attempt().then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        expect(error).toBeInstanceOf(SourceAwayError);
        expect((error as Error).message).toContain(words);
        expect(JSON.stringify(error) + String((error as Error).cause)).not.toContain('secret-text');
      }
    }
    const stranger = bucket.source({ credentials: { accessKeyId: 'NOBODY', secretAccessKey: 'x' } });
    await expect(stranger.open(object)).rejects.toThrow(SourceAwayError);
    await expect(stranger.describe(object)).rejects.toThrow(/s3:GetObject/);
  });

  test('notifications are about the bucket as its service calls it, and the keys as content has them', async () => {
    using bucket = await s3BucketFixture(account);
    const message = { Records: [{ eventName: 'ObjectCreated:Put', s3: { bucket: { name: bucket.name }, object: { key: 'www%2Fa' } } }] };
    const { scope } = bucket.source({ prefix: 'www/', name: 'site' });
    expect(readS3Notification(Buffer.from(JSON.stringify(message)), scope)).toEqual({ kind: 'changes', keys: ['site/a'] });
  });

  test('watching an s3 bucket tells nothing, and ends', async () => {
    using bucket: S3BucketFixture = await s3BucketFixture(account);
    const end = await bucket.source().watch();
    await end();
  });
});
