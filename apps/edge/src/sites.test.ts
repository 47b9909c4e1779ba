import { once } from 'node:events';
import { rename, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { signedQuery } from '@sluice/signed-url';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';
import { SitesConfigError } from './sites-config.ts';

const SITES = `
sites:
  - name: www
    hosts: [www.example.com]
    bucket: site
    index: index.html
    notFound: 404.html
    headers: { X-Frame-Options: DENY }
    cors: { origins: [https://a.org] }
  - name: app
    hosts: ["*.app.example.com"]
    bucket: site
    prefix: app/
    index: index.html
    singlePage: index.html
`;

async function sitesScene(text: string) {
  const dir = await temporaryDirectory();
  const file = join(dir.path, 'sites.yaml');
  await writeFile(file, text);
  const scene = await Scene.start({ EDGE_SITES_FILE: file });
  const upload = async (key: string, body: string, fields = {}) =>
    scene.pushStore(scene.origin.upload(key, Buffer.from(body), { contentType: 'text/html', ...fields }));
  await upload('site/index.html', 'home');
  await upload('site/docs/index.html', 'docs');
  await upload('site/404.html', 'nothing here');
  await upload('site/app/index.html', 'application');
  await upload('site/app/main.js', 'script');
  await upload('site/old.html', '', { redirectLocation: 'https://www.example.com/docs/' });
  return {
    ...{ scene, file },
    async get(host: string, path: string, { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {}) {
      const sent = request(scene.url(''), { method, path, headers: { host, ...headers } }).end();
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      return { status: response.statusCode, headers: response.headers, body: (await buffer(response)).toString() };
    },
    async [Symbol.asyncDispose]() {
      await scene[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('a host name leads to its bucket: indexes, directories, pages of an application, documents for what is not there', async () => {
  await using it = await sitesScene(SITES);
  const shown = async (host: string, path: string, headers = {}) => {
    const { status, body, headers: got } = await it.get(host, path, { headers });
    return `${status} ${got.location ?? body}`;
  };
  expect(await shown('www.example.com', '/')).toBe('200 home');
  expect(await shown('WWW.example.com:80', '/index.html')).toBe('200 home');
  expect(await shown('www.example.com', '/docs/')).toBe('200 docs');
  expect(await shown('www.example.com', '/docs?x=1')).toBe('302 /docs/?x=1');
  expect(await shown('www.example.com', '/none')).toBe('404 nothing here');
  expect(await shown('www.example.com', '/old.html')).toBe('301 https://www.example.com/docs/');
  expect(await shown('www.example.com', '/app/main.js')).toBe('200 script');
  expect(await shown('x.app.example.com', '/main.js')).toBe('200 script');
  expect(await shown('x.app.example.com', '/users/7')).toBe('200 application');
  expect(await shown('x.app.example.com', '/missing.js')).toMatch(/^404 404 there is no such object/);
  expect(await shown('other.org', '/index.html')).toMatch(/^404 404 no site has this host name/);
  expect(await shown('127.0.0.1', '/site/index.html')).toMatch(/^404 /);
  expect(await shown('other.org', 'http://www.example.com/docs/')).toBe('200 docs');
});

test('without the origin a site is what the edge knows of it', async () => {
  await using it = await sitesScene(SITES);
  await it.scene.origin.stop();
  const shown = async (host: string, path: string) => (await it.get(host, path)).status;
  expect(await shown('www.example.com', '/docs')).toBe(302);
  expect(await shown('x.app.example.com', '/users/7')).toBe(200);
  // That there is no such thing only the origin can say.
  expect(await shown('www.example.com', '/none')).toBe(504);
});

test('a directory that only the origin knows is one', async () => {
  await using it = await sitesScene(SITES);
  it.scene.origin.upload('site/far/index.html', Buffer.from('far'), { regions: ['EU'] });
  expect((await it.get('www.example.com', '/far')).status).toBe(302);
});

test('a permanent redirect has the caching fields of its object', async () => {
  await using it = await sitesScene(SITES);
  const moved = { redirectLocation: '/docs/', cacheControl: 'no-cache' };
  await it.scene.pushStore(it.scene.origin.upload('site/moved', Buffer.from(''), moved));
  const { headers } = await it.get('www.example.com', '/moved');
  expect([headers.location, headers['cache-control'], headers.age]).toEqual(['/docs/', 'no-cache', '0']);
});

test('what depends on what the visitor accepts says so', async () => {
  await using it = await sitesScene(SITES);
  for (const accept of ['text/html', '*/*']) {
    expect((await it.get('x.app.example.com', '/missing.js', { headers: { accept } })).headers.vary).toBe('Accept');
  }
});

test('a field of the site gives way to one of the object', async () => {
  await using it = await sitesScene(`sites: [{ name: w, hosts: [w.org], bucket: site, headers: { cache-control: max-age=9, X-A: b } }]`);
  await it.scene.pushStore(it.scene.origin.upload('site/own', Buffer.from('x'), { cacheControl: 'no-cache' }));
  const fields = async (path: string) => {
    const { headers } = await it.get('w.org', path);
    return [headers['cache-control'], headers['x-a']];
  };
  expect([await fields('/own'), await fields('/index.html'), await fields('/none')]).toEqual([
    ['no-cache', 'b'],
    ['max-age=9', 'b'],
    ['no-store', 'b'],
  ]);
});

test('a document for what is not there is no representation of it: no validator, no condition, no range, and HEAD says the same', async () => {
  await using it = await sitesScene(SITES);
  const plain = await it.get('www.example.com', '/none');
  const conditions = { range: 'bytes=0-1', 'if-none-match': '*', 'if-match': '"x"' };
  const conditional = await it.get('www.example.com', '/none', { headers: conditions });
  expect([conditional.status, conditional.body]).toEqual([404, 'nothing here']);
  expect([plain.headers.etag, plain.headers['cache-control'], plain.headers['content-type']]).toEqual([undefined, 'no-store', 'text/html']);
  const head = await it.get('www.example.com', '/none', { method: 'HEAD' });
  expect([head.status, head.body, head.headers['content-length']]).toEqual([404, '', '12']);
});

test('the fields of a site are on every answer of it, and those of cross-origin requests', async () => {
  await using it = await sitesScene(SITES);
  for (const path of ['/', '/none', '/docs', '/%zz']) {
    const { headers } = await it.get('www.example.com', path, { headers: { origin: 'https://a.org' } });
    expect([path, headers['x-frame-options']]).toEqual([path, 'DENY']);
    expect([headers['access-control-allow-origin'], headers.vary]).toEqual(['https://a.org', 'Origin']);
  }
  expect((await it.get('x.app.example.com', '/')).headers['x-frame-options']).toBeUndefined();
  const preflight = { origin: 'https://a.org', 'access-control-request-method': 'GET' };
  const allowed = await it.get('www.example.com', '/', { method: 'OPTIONS', headers: preflight });
  expect([allowed.status, allowed.headers['access-control-allow-methods']]).toEqual([204, 'GET, HEAD']);
  const elsewhere = await it.get('www.example.com', '/', { method: 'OPTIONS', headers: { ...preflight, origin: 'https://b.org' } });
  expect(elsewhere.headers['access-control-allow-origin']).toBeUndefined();
});

test('private content is read with a signed link alone: whole, in ranges, with a 404 of its own, and not after it has expired', async () => {
  const secret = Buffer.alloc(32, 7);
  const keys = `{ k1: ${secret.toString('base64')} }`;
  await using it = await sitesScene(`sites: [{ name: members, hosts: [m.org], bucket: site, signedUrls: { keys: ${keys} } }]`);
  const expiresAt = Math.floor(Date.now() / 1000) + 60;
  const signed = (path: string) => `${path}?${signedQuery('members', { kind: 'path', path }, expiresAt, { id: 'k1', secret })}`;
  const shown = async (path: string, headers = {}) => {
    const { status, body } = await it.get('m.org', path, { headers });
    return `${status} ${body.trim()}`;
  };
  expect(await shown(signed('/docs/index.html'))).toBe('200 docs');
  expect(await shown(signed('/docs/index.html'), { range: 'bytes=1-2' })).toBe('206 oc');
  expect(await shown(signed('/none'))).toMatch(/^404 /);
  expect(await shown('/docs/index.html')).toMatch(/^403 403 this content is private/);
  expect(await shown('/none')).toMatch(/^403 /);
  expect(await shown(signed('/index.html').replace('/index.html', '/docs/index.html'))).toMatch(/^403 403 this link is not valid here/);
  expect(await shown(`http://m.org${signed('/docs/index.html')}`)).toBe('200 docs');
  it.scene.aheadMs = 61_000;
  expect(await shown(signed('/docs/index.html'))).toMatch(/^403 403 this link has expired/);
});

test('a redirect to a directory never leads to another host', async () => {
  await using it = await sitesScene(SITES);
  await it.scene.pushStore(it.scene.origin.upload('site//evil.org/index.html', Buffer.from('x')));
  const { status, headers } = await it.get('www.example.com', '//evil.org');
  expect([status, new URL(headers.location ?? '', 'http://www.example.com//evil.org').host]).toEqual([302, 'www.example.com']);
});

test('a changed file is taken without a restart, on change and on SIGHUP; a file with problems is not, and the old one stays', async () => {
  await using it = await sitesScene(SITES);
  const home = async (host: string) => (await it.get(host, '/')).status;
  const replace = async (text: string) => {
    await writeFile(`${it.file}.new`, text);
    await rename(`${it.file}.new`, it.file);
  };
  await replace(SITES.replace('www.example.com', 'new.example.com'));
  await eventually(async () => expect([await home('new.example.com'), await home('www.example.com')]).toEqual([200, 404]));
  await replace('sites: [{ name: a }]');
  await replace(`${SITES}  - { name: more, hosts: [more.org], bucket: site, index: index.html }`);
  await eventually(async () => expect([await home('more.org'), await home('www.example.com')]).toEqual([200, 200]));
  await replace('nonsense');
  await eventually(() =>
    expect(it.scene.failures.at(-1)).toMatchObject([{ problems: [expect.stringContaining('expected object')] }, expect.anything()]),
  );
  expect(await home('more.org')).toBe(200);
  await writeFile(it.file, SITES);
  process.emit('SIGHUP');
  await eventually(async () => expect(await home('more.org')).toBe(404));
});

test('an edge does not begin with a file that cannot be used', async () => {
  await using dir = await temporaryDirectory();
  const file = join(dir.path, 'sites.yaml');
  await expect(Scene.start({ EDGE_SITES_FILE: file })).rejects.toThrow(SitesConfigError);
  await writeFile(file, 'sites: [{ name: a }]');
  await expect(Scene.start({ EDGE_SITES_FILE: file })).rejects.toThrow('sites[0].bucket');
});
