/** Links of Signature Version 2, over real sockets. */
import { Agent, request } from 'node:http';
import { inspect } from 'node:util';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { createLogger } from '@sluice/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { targetPath, targetQuery } from '../../domain/s3-resource.ts';
import { type KeyedOrigin, keyedOrigin, OWNER, STRANGER, WRITER } from '../../testing/keyed-origin.fixture.ts';
import { inSeconds, oldLink } from '../../testing/old-link.fixture.ts';

const DOMAIN = 's3.sluice.test';
const PATH = '/site/a%20b/%C3%BC%2Bc(1).txt';
const AT = { Bucket: 'site', Key: 'a b/ü+c(1).txt' };
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
const logged: string[] = [];

let origin: KeyedOrigin;
let versionId: string;
let clockOffsetMs = 0;
beforeAll(async () => {
  const log = createLogger('origin', 'trace');
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const) {
    vi.spyOn(log, level).mockImplementation((...parts: unknown[]) => void logged.push(inspect(parts, { depth: 9 })));
  }
  origin = await keyedOrigin({ clockOffsetMs: () => clockOffsetMs, config: { ORIGIN_S3_DOMAIN: [DOMAIN] }, log });
  versionId = (await origin.client(OWNER).send(new PutObjectCommand({ ...AT, Body: 'first' }))).VersionId ?? '';
  await origin.client(OWNER).send(new PutObjectCommand({ ...AT, Body: 'second' }));
});
beforeEach(() => {
  clockOffsetMs = 0;
});
afterAll(async () => {
  agent.destroy();
  await origin[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly headers: Record<string, unknown>;
  readonly text: string;
}
/** The target is sent as it is. */
function send(path: string, method = 'GET', headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ agent, port: origin.port, host: '127.0.0.1', path, method, headers }, async (answer) => {
      let text = '';
      for await (const piece of answer.setEncoding('utf8')) text += piece;
      resolve({ status: answer.statusCode, code: /<Code>(\w+)</.exec(text)?.[1], headers: answer.headers, text });
    });
    sent.once('error', reject).end();
  });
}

describe('a link', () => {
  test('reads its object, whole or a range of it', async () => {
    const link = oldLink(OWNER, { path: PATH });
    expect(await send(link)).toMatchObject({ status: 200, text: 'second' });
    expect(await send(link, 'GET', { range: 'bytes=0-2' })).toMatchObject({ status: 206, text: 'sec' });
  });

  test('that was made for HEAD looks at its object', async () => {
    const link = oldLink(OWNER, { path: PATH, method: 'HEAD' });
    expect(await send(link, 'HEAD')).toMatchObject({ status: 200, headers: { 'content-length': '6' } });
    expect((await send(link)).code).toBe('SignatureDoesNotMatch');
  });

  test('reads the version that it names, with the fields that it asks for', async () => {
    const query = [
      ['response-content-disposition', 'attachment; filename="a & b=c+d é.txt"'],
      ['response-content-type', 'text/x-poem; charset=utf-8'],
      ['versionId', versionId],
    ] as const;
    const ascii = query.map(([name, value]) => [name, value.replace(' é', '')] as const);
    expect(await send(oldLink(OWNER, { path: PATH, query: ascii }))).toMatchObject({
      status: 200,
      text: 'first',
      headers: { 'content-disposition': 'attachment; filename="a & b=c+d.txt"', 'content-type': 'text/x-poem; charset=utf-8' },
    });
    // Bytes beyond ASCII are none for a field, but they are signed.
    expect((await send(oldLink(OWNER, { path: PATH, query }))).code).not.toBe('SignatureDoesNotMatch');
  });

  test('is signed with the encoding that it has', async () => {
    const path = PATH.replace('%C3%BC', '%c3%bc');
    expect(await send(oldLink(OWNER, { path }))).toMatchObject({ status: 200, text: 'second' });
    expect((await send(oldLink(OWNER, { path }).replace('%c3', '%C3'))).code).toBe('SignatureDoesNotMatch');
  });

  test('works in virtual-hosted style, and for no other bucket', async () => {
    const link = oldLink(OWNER, { path: PATH }).replace('/site/', '/');
    expect(await send(link, 'GET', { host: `site.${DOMAIN}` })).toMatchObject({ status: 200, text: 'second' });
    expect((await send(link, 'GET', { host: `other.${DOMAIN}` })).code).toBe('SignatureDoesNotMatch');
  });

  test('may do what its key may', async () => {
    expect(await send(oldLink(WRITER, { path: PATH }))).toMatchObject({ status: 200 });
    const refused = await send(oldLink(STRANGER, { path: PATH }));
    expect(refused).toMatchObject({
      status: 403,
      code: 'AccessDenied',
      text: expect.stringMatching(/&quot;read&quot; on the bucket &quot;site&quot;/),
    });
  });

  test('counts until it expires, also for longer than a week', async () => {
    const link = oldLink(OWNER, { path: PATH, expires: inSeconds(30 * 86_400) });
    clockOffsetMs = 29 * 86_400_000;
    expect(await send(link)).toMatchObject({ status: 200 });
    clockOffsetMs = 31 * 86_400_000;
    const late = await send(link);
    expect(late).toMatchObject({ status: 403, code: 'AccessDenied' });
    expect(late.text).toMatch(/<Message>Request has expired<.*<Expires>20\d\d-.*<ServerTime>20/);
  });

  test('of no key, or of another secret, is refused; the answer says what would have been signed', async () => {
    expect((await send(oldLink({ ...OWNER, accessKeyId: 'NOBODY' }, { path: PATH }))).code).toBe('InvalidAccessKeyId');
    const expires = inSeconds(60);
    const refused = await send(oldLink({ ...OWNER, secretAccessKey: WRITER.secretAccessKey }, { path: PATH, expires }));
    expect(refused).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
    expect(refused.text).toContain(`<StringToSign>GET&#10;&#10;&#10;${expires}&#10;${PATH}</StringToSign>`);
    expect(refused.text).not.toContain(OWNER.secretAccessKey);
  });
});

describe('nothing but reading', () => {
  test.each(['PUT', 'DELETE', 'POST'])('a link that was made for %s is refused with words', async (method) => {
    // An upload in parts would be begun by POST.
    const link = oldLink(OWNER, { method, path: PATH }) + (method === 'POST' ? '&uploads' : '');
    expect(await send(link, method)).toMatchObject({
      status: 403,
      code: 'AccessDenied',
      text: expect.stringContaining('make the link with Version 4'),
    });
  });

  test.each(['/site', '/site/', '/'])('a list at %s is refused with words', async (path) => {
    expect(await send(oldLink(OWNER, { path }))).toMatchObject({
      status: 403,
      text: expect.stringContaining('read objects and do nothing else'),
    });
  });

  test.each(['tagging', 'uploadId=x'])('?%s is refused with words', async (parameter) => {
    expect(await send(`${oldLink(OWNER, { path: PATH })}&${parameter}`)).toMatchObject({ status: 403, code: 'AccessDenied' });
  });

  test('fields that a link does not sign cannot be added', async () => {
    const link = oldLink(OWNER, { path: PATH });
    for (const headers of [{ 'x-amz-checksum-mode': 'ENABLED' }, { 'content-type': 'a/b' }, { 'content-md5': 'x' }]) {
      expect((await send(link, 'GET', headers)).code).toBe('SignatureDoesNotMatch');
    }
  });

  test('a refusal is counted by its code', async () => {
    const count = () => origin.metric('sluice_origin_refusals_total{code="SignatureDoesNotMatch"}');
    const before = await count();
    await send(oldLink(OWNER, { path: PATH }).replace('site', 'other'));
    expect(await count()).toBe(before + 1);
  });
});

describe('one signature is for one request', () => {
  const EXPIRES = inSeconds(3600);
  const texts = fc.stringMatching(/^[ !-~]{1,12}$/).filter((text) => text.trim() === text);
  const links = fc
    .record({ method: fc.constantFrom('GET', 'HEAD'), type: fc.option(texts), disposition: fc.option(texts), versioned: fc.boolean() })
    .map(({ method, type, disposition, versioned }) => {
      const query: [string, string][] = [];
      if (disposition !== null) query.push(['response-content-disposition', disposition]);
      if (type !== null) query.push(['response-content-type', type]);
      if (versioned) query.push(['versionId', versionId]);
      return { method, link: oldLink(OWNER, { method, path: PATH, query, expires: EXPIRES }) };
    });
  const additions = [
    '&versionId=1',
    '&response-expires=1',
    '&Expires=9999999999',
    '&x=y',
    '&x-amz-meta-a=b',
    '&X-Amz-Expires=1',
    '&uploadId',
  ];
  type Edit = (link: string) => string;
  const splice = (at: number, length: number, piece: string): Edit => {
    return (link) => {
      const start = 1 + (at % (link.length - 1));
      return link.slice(0, start) + piece + link.slice(start + length);
    };
  };
  /** Makes a parameter the end of the value before it. */
  const joinParameters = (at: number): Edit => {
    return (link) => {
      const parts = link.split('&');
      const end = 1 + (at % Math.max(1, parts.length - 1));
      return `${parts.slice(0, end).join('&')}%26${parts.slice(end).join('&')}`;
    };
  };
  const pieces = fc.oneof(fc.stringMatching(/^[!-~]$/), fc.constantFrom('', '%26', '%3D', '%0A', '%2e', '/x', ...additions));
  const edits = fc.oneof(
    fc.tuple(fc.nat(), fc.nat({ max: 3 }), pieces).map((parts) => splice(...parts)),
    fc.constantFrom(...additions).map(
      (piece): Edit =>
        (link) =>
          link + piece,
    ),
    fc.nat().map(joinParameters),
  );
  const methods = fc.constantFrom('GET', 'HEAD', 'PUT', 'DELETE', 'POST');
  /** All that a request says; the order of parameters and their encoding say nothing. */
  const saidBy = (method: string, target: string) => JSON.stringify([method, targetPath(target), [...targetQuery(target)].sort()]);

  test('whatever is changed in a link, it is refused', async () => {
    await fc.assert(
      fc.asyncProperty(links, fc.array(edits, { maxLength: 2 }), fc.option(methods), async ({ method, link }, changes, otherMethod) => {
        const changed = changes.reduce((text, edit) => edit(text), link);
        const asked = otherMethod ?? method;
        const { status } = await send(changed, asked);
        if (saidBy(asked, changed) === saidBy(method, link)) expect([changed, status]).toEqual([changed, 200]);
        else expect([changed, [400, 403, 405, 501].includes(status ?? 0)]).toEqual([changed, true]);
      }),
      { numRuns: 1000 },
    );
  });

  test('a value cannot be made of two parameters, nor two of one', async () => {
    const both = [
      ['response-content-type', 'text/a'],
      ['versionId', versionId],
    ] as const;
    const link = oldLink(OWNER, { path: PATH, query: both });
    expect(await send(link)).toMatchObject({ status: 200, text: 'first' });
    const asOne = link.replace('&versionId=', '%26versionId%3D');
    expect(await send(asOne)).toMatchObject({ status: 403, text: expect.stringContaining('as it would a further parameter') });
  });

  test('the order of parameters says nothing', async () => {
    const [path, query = ''] = oldLink(OWNER, { path: PATH, query: [['versionId', versionId]] }).split('?');
    expect(await send(`${path}?${query.split('&').reverse().join('&')}`)).toMatchObject({ status: 200, text: 'first' });
  });
});

test('no secret and no signature is logged', async () => {
  const link = oldLink(OWNER, { path: PATH });
  await send(link);
  await send(link.replace('site', 'other'));
  const signature = targetQuery(link).get('Signature') ?? '';
  expect(logged.length).toBeGreaterThan(0);
  for (const secret of [OWNER.secretAccessKey, signature, encodeURIComponent(signature)]) expect(logged.join('')).not.toContain(secret);
});
