/** The sites of the example file as a real Chromium meets them. */
import { signedQuery } from '@sluice/signed-url';
import { contentOf, eventually } from '@sluice/testkit';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChromiumMissingError, findChromium, launchChromium, Traffic } from './chromium.ts';
import { ExampleSites } from './example-sites.ts';
import { image, SOUND_BYTES_PER_SECOND, sound } from './media.ts';

/** For a page to show what it should. */
const PATIENCE_MS = 10_000;

const WWW = 'https://www.example.com';
const APP = 'https://blog.app.example.com';
const ASSETS = 'https://assets.example.com';
const MEMBERS = 'https://members.example.com';

/** Visitors ask each time whether it has changed; the edge need not ask the origin, which tells it. */
const FRESH_AT_THE_EDGE = { 'cache-control': 'no-cache', 'cdn-cache-control': 'max-age=31536000' };
const HTML = { 'content-type': 'text/html; charset=utf-8', ...FRESH_AT_THE_EDGE };
const SCRIPT = { 'content-type': 'text/javascript; charset=utf-8', ...FRESH_AT_THE_EDGE };
const LOGO = image(64, 48);
/** Words beyond ASCII, so that a coding read wrong shows. */
const PROSE = 'Žluťoučký kůň, 流水, façade. '.repeat(60).trim();
const STYLE = `h1 { color: rgb(1, 2, 3) }\n/* ${PROSE} */\n`;

const page = (heading: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8"><title>${heading}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
<script type="module" src="/app.js"></script>
<h1>${heading}</h1>
<img src="/logo.png" alt="">
<p id="message"></p>
<p id="prose">${PROSE}</p>
`;
const APP_SCRIPT = `
const { message } = await (await fetch('/data.json')).json();
await document.querySelector('img').decode();
document.querySelector('#message').textContent = message;
document.documentElement.dataset.loaded = 'true';
// ${PROSE}
`;
const SINGLE_PAGE = `<!doctype html><meta charset="utf-8"><title>App</title><link rel="icon" href="data:,">
<h1></h1><script type="module" src="/router.js"></script>`;
const ROUTER = `document.querySelector('h1').textContent = 'route ' + location.pathname;`;
const SOUND = sound(300);
/** Ends as it begins, so far away that zstd alone sees it: br has a window of 4 MiB here, zstd one of 8. */
const NOISE = contentOf(100_000, 'noise').toString('hex');
const REPEATING = `${NOISE}${'-'.repeat(4_400_000)}${NOISE}`;

describe('Chromium', () => {
  const cleanup = new AsyncDisposableStack();
  let sites: ExampleSites;
  let browser: Browser;

  beforeAll(async () => {
    await findChromium();
    sites = cleanup.use(await ExampleSites.start());
    const uploads: [string, string | Buffer, Record<string, string>][] = [
      ['site/index.html', page('First'), HTML],
      ['site/404.html', '<!doctype html><title>Nothing here</title><link rel="icon" href="data:,"><h1>Nothing here</h1>', HTML],
      ['site/style.css', STYLE, { 'content-type': 'text/css; charset=utf-8', ...FRESH_AT_THE_EDGE }],
      ['site/app.js', APP_SCRIPT, SCRIPT],
      ['site/data.json', JSON.stringify({ message: PROSE }), { 'content-type': 'application/json', ...FRESH_AT_THE_EDGE }],
      ['site/logo.png', LOGO, { 'content-type': 'image/png', 'cache-control': 'max-age=31536000, immutable' }],
      ['site/sound.wav', SOUND, { 'content-type': 'audio/wav' }],
      ['site/repeating.txt', REPEATING, { 'content-type': 'text/plain' }],
      ['site/.well-known/acme-challenge/token', PROSE, { 'content-type': 'text/plain; charset=utf-8' }],
      ['site/app/index.html', SINGLE_PAGE, HTML],
      ['site/app/router.js', ROUTER, SCRIPT],
      ['assets/index.html', '<!doctype html><link rel="icon" href="data:,">', HTML],
      ['assets/data.txt', 'the data', { 'content-type': 'text/plain' }],
      ['members/index.html', '<!doctype html><title>Members</title><link rel="icon" href="data:,">', HTML],
    ];
    for (const [key, body, headers] of uploads) await sites.publish(key, body, headers);
    await sites.whenCoded(...['/', '/style.css', '/app.js', '/data.json', '/repeating.txt'].map((path) => `${WWW}${path}`));
    const ports = { http: sites.edge.port, https: sites.tlsPort };
    browser = cleanup.use(await launchChromium({ ports, publicKeyHashes: sites.publicKeyHashes }));
  }, 120_000);
  afterAll(() => cleanup.disposeAsync());

  /** A visitor who was never here. */
  async function visitor() {
    const context = await browser.newContext();
    context.setDefaultTimeout(PATIENCE_MS);
    const tab = await context.newPage();
    const { traffic, session } = await Traffic.of(tab);
    return { tab, traffic, session, [Symbol.asyncDispose]: () => context.close() };
  }

  const shown = async (tab: Page): Promise<unknown> => {
    await tab.waitForFunction("document.documentElement.dataset.loaded === 'true'");
    return tab.evaluate(`({
      heading: document.querySelector('h1').textContent,
      color: getComputedStyle(document.querySelector('h1')).color,
      message: document.querySelector('#message').textContent,
      prose: document.querySelector('#prose').textContent,
      image: [document.querySelector('img').naturalWidth, document.querySelector('img').naturalHeight],
    })`);
  };
  const whole = (heading: string) => ({ heading, color: 'rgb(1, 2, 3)', message: PROSE, prose: PROSE, image: [64, 48] });
  /** Of a page's script. Rejects as `fetch` does there. */
  const read = (tab: Page, url: string, init: object = {}): Promise<{ status: number; body: string; headers: Record<string, string> }> =>
    tab.evaluate(`fetch(${JSON.stringify(url)}, ${JSON.stringify(init)}).then(async (response) =>
      ({ status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() }))`);

  test('shows a page whole: over HTTP/2, text in br or zstd, the image as it is', async () => {
    await using it = await visitor();
    await it.tab.goto(`${WWW}/`);
    expect(await shown(it.tab)).toEqual(whole('First'));
    const exchanges = await it.traffic.settled();
    const seen = exchanges.map(({ url, status, protocol, headers }) => [
      new URL(url).pathname,
      status,
      protocol,
      headers['content-encoding'],
    ]);
    const coded = expect.stringMatching(/^(?:br|zstd)$/);
    expect(seen.sort()).toEqual([
      ['/', 200, 'h2', coded],
      ['/app.js', 200, 'h2', coded],
      ['/data.json', 200, 'h2', coded],
      ['/logo.png', 200, 'h2', undefined],
      ['/style.css', 200, 'h2', coded],
    ]);
    const { headers, wireBytes } = await it.traffic.only(`${WWW}/logo.png`);
    expect([headers['content-length'], wireBytes > LOGO.byteLength]).toEqual([String(LOGO.byteLength), true]);
  });

  test.each(['br', 'zstd', 'gzip', 'identity'])('decodes %s to what was uploaded', async (coding) => {
    await using it = await visitor();
    await it.tab.goto(`${WWW}/`);
    await shown(it.tab);
    await it.session.send('Network.setExtraHTTPHeaders', { headers: { 'accept-encoding': coding } });
    it.traffic.clear();
    expect((await read(it.tab, `${WWW}/style.css`, { cache: 'no-store' })).body).toBe(STYLE);
    const { headers, wireBytes } = await it.traffic.only(`${WWW}/style.css`);
    expect(headers['content-encoding']).toBe(coding === 'identity' ? undefined : coding);
    if (coding !== 'identity') expect(wireBytes).toBeLessThan(Buffer.byteLength(STYLE) / 2);
  });

  test('is sent zstd where that is smaller than br, and decodes it with a window beyond that of br', async () => {
    await using it = await visitor();
    await it.tab.goto(`${WWW}/`);
    await shown(it.tab);
    it.traffic.clear();
    expect((await read(it.tab, `${WWW}/repeating.txt`)).body === REPEATING, 'the text that was uploaded').toBe(true);
    const { headers, wireBytes } = await it.traffic.only(`${WWW}/repeating.txt`);
    expect(headers['content-encoding']).toBe('zstd');
    expect(wireBytes).toBeLessThan(NOISE.length * 0.6);
  });

  test('is sent gzip over plain HTTP, where it accepts no other', async () => {
    await using it = await visitor();
    const url = 'http://www.example.com/.well-known/acme-challenge/token';
    await it.tab.goto('http://assets.example.com/index.html');
    await sites.whenCoded(url);
    await it.tab.goto(url);
    expect(await it.tab.evaluate('document.body.innerText')).toBe(PROSE);
    const [exchange] = await eventually(() => {
      const found = it.traffic.answered(url);
      expect(found).toHaveLength(1);
      return found;
    });
    expect(exchange).toMatchObject({ status: 200, protocol: 'http/1.1', headers: { 'content-encoding': 'gzip' } });
  });

  test('reloads a page by asking what has changed: nothing has, no body is sent, and the image is not asked for', async () => {
    await using it = await visitor();
    await it.tab.goto(`${WWW}/`);
    await shown(it.tab);
    await it.traffic.settled();
    it.traffic.clear();
    await it.tab.reload();
    expect(await shown(it.tab)).toEqual(whole('First'));
    const exchanges = await it.traffic.settled();
    const seen = exchanges.map(({ url, status, fromCache }) => [new URL(url).pathname, fromCache ? 'from its cache' : status]);
    expect(seen.sort()).toEqual([
      ['/', 304],
      ['/app.js', 304],
      ['/data.json', 304],
      ['/logo.png', 'from its cache'],
      ['/style.css', 304],
    ]);
    expect(exchanges.reduce((sum, { wireBytes }) => sum + wireBytes, 0)).toBeLessThan(1_000);
  });

  test('shows a new version at the first reload after it was confirmed, and reads again only what has changed', async () => {
    await using it = await visitor();
    const url = `${WWW}/news/`;
    await sites.publish('site/news/index.html', page('First'), HTML);
    await it.tab.goto(url);
    await shown(it.tab);
    await it.traffic.settled();
    for (const heading of ['Second', 'Third']) {
      const version = await sites.publish('site/news/index.html', page(heading), HTML);
      it.traffic.clear();
      await it.tab.reload();
      expect(await shown(it.tab)).toEqual(whole(heading));
      const exchanges = await it.traffic.settled();
      const { status, headers } = await it.traffic.only(url);
      expect(status).toBe(200);
      // Its coded forms may have come meanwhile, with a version of their own.
      expect(Number(headers['x-sluice-version'])).toBeGreaterThanOrEqual(version);
      const others = exchanges.filter((other) => other.url !== url && !other.fromCache);
      expect(others.map(({ status }) => status)).toEqual([304, 304, 304]);
    }
  });

  test('that comes by plain HTTP is sent to HTTPS, and goes there by itself from then on', async () => {
    await using it = await visitor();
    const hops = async () => {
      it.traffic.clear();
      await it.tab.goto('http://www.example.com/?a=b');
      await shown(it.tab);
      const exchanges = await it.traffic.settled();
      return exchanges.filter(({ url }) => url.includes('?a=b')).map(({ url, status, headers }) => [url, status, headers.location]);
    };
    expect(await hops()).toEqual([
      ['http://www.example.com/?a=b', 301, `${WWW}/?a=b`],
      [`${WWW}/?a=b`, 200, undefined],
    ]);
    expect(await hops()).toEqual([
      ['http://www.example.com/?a=b', 307, `${WWW}/?a=b`],
      [`${WWW}/?a=b`, 304, undefined],
    ]);
    const [internal] = await it.traffic.settled();
    expect(internal).toMatchObject({ headers: { 'non-authoritative-reason': 'HSTS' }, wireBytes: 0 });
  });

  test('lets a page read of another origin what CORS allows', async () => {
    await using it = await visitor();
    await it.tab.goto(`${WWW}/`);
    await shown(it.tab);
    it.traffic.clear();
    const simple = await read(it.tab, `${ASSETS}/data.txt`);
    expect(simple).toMatchObject({ status: 200, body: 'the data', headers: { etag: expect.stringMatching(/^"/) } });
    expect(simple.headers).not.toHaveProperty('repr-digest');
    // A suffix is not among the ranges that go without a preflight.
    const part = await read(it.tab, `${ASSETS}/data.txt`, { headers: { range: 'bytes=-4' }, cache: 'no-store' });
    expect(part).toMatchObject({ status: 206, body: 'data', headers: { 'content-range': 'bytes 4-7/8' } });
    const methods = (await it.traffic.settled()).map(({ method, status }) => [method, status]);
    expect(methods.sort()).toEqual([
      ['GET', 200],
      ['GET', 206],
      ['OPTIONS', 204],
    ]);
    await expect(read(it.tab, `${ASSETS}/data.txt`, { headers: { 'x-mine': '1' } })).rejects.toThrow('Failed to fetch');
  });

  test('keeps from a page what CORS does not allow its origin, or no origin', async () => {
    await using it = await visitor();
    await it.tab.goto(`${APP}/`);
    await expect(read(it.tab, `${ASSETS}/data.txt`)).rejects.toThrow('Failed to fetch');
    await expect(read(it.tab, `${WWW}/data.json`)).rejects.toThrow('Failed to fetch');
    // It was the browser that kept them.
    await eventually(() => {
      for (const url of [`${ASSETS}/data.txt`, `${WWW}/data.json`]) expect(it.traffic.answered(url)).toMatchObject([{ status: 200 }]);
    });
  });

  test('shows every route of a single-page site, while a script that is missing stays missing', async () => {
    await using it = await visitor();
    for (const path of ['/', '/posts/7', '/posts/7/comments.all']) {
      const response = await it.tab.goto(`${APP}${path}`);
      expect(response?.status()).toBe(200);
      await it.tab.waitForFunction("document.querySelector('h1').textContent !== ''");
      expect(await it.tab.textContent('h1')).toBe(`route ${path}`);
    }
    expect(await read(it.tab, '/none.js')).toMatchObject({ status: 404 });
  });

  test('shows the site’s own page for what is not there', async () => {
    await using it = await visitor();
    const response = await it.tab.goto(`${WWW}/none`);
    expect([response?.status(), await it.tab.textContent('h1')]).toEqual([404, 'Nothing here']);
  });

  test('seeks in a sound by reading from there on', async () => {
    await using it = await visitor();
    await it.tab.goto(`${WWW}/`);
    await shown(it.tab);
    const place = await it.tab.evaluate(`new Promise((resolve, reject) => {
      const sound = document.body.appendChild(document.createElement('audio'));
      sound.onerror = () => reject(new Error(sound.error.message));
      sound.onloadedmetadata = () => { sound.currentTime = 270; };
      sound.onseeked = () => resolve([sound.duration, sound.currentTime]);
      sound.src = '/sound.wav';
    })`);
    expect(place).toEqual([300, 270]);
    await eventually(() => {
      const answers = it.traffic.answered(`${WWW}/sound.wav`).map(({ status, requestHeaders, headers }) => ({
        status,
        from: Number(/^bytes=(\d+)-/.exec(requestHeaders.range ?? '')?.[1]),
        range: headers['content-range'],
      }));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 206));
      for (const { from, range } of answers) expect(range).toMatch(new RegExp(`^bytes ${from}-\\d+/${SOUND.byteLength}$`));
      expect(Math.max(...answers.map(({ from }) => from))).toBeGreaterThan(260 * SOUND_BYTES_PER_SECOND);
    });
  });

  test('opens private content with a signed link alone', async () => {
    await using it = await visitor();
    const url = `${MEMBERS}/index.html`;
    expect((await it.tab.goto(url))?.status()).toBe(403);
    const key = { id: 'k2026', secret: Buffer.from('AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=', 'base64') };
    const query = signedQuery('members', { kind: 'path', path: '/index.html' }, Math.floor(Date.now() / 1000) + 60, key);
    const response = await it.tab.goto(`${url}?${query}`);
    expect([response?.status(), await it.tab.title()]).toEqual([200, 'Members']);
  });

  test('uses one connection for all host names that its certificate covers, and is served the site of each', async () => {
    await using it = await visitor();
    await it.tab.goto(`${ASSETS}/index.html`);
    await it.tab.goto(`${APP}/`);
    await it.tab.waitForFunction("document.querySelector('h1').textContent === 'route /'");
    await it.tab.goto(`${WWW}/`);
    expect(await shown(it.tab)).toEqual(whole('First'));
    expect(new Set((await it.traffic.settled()).map(({ connection }) => connection)).size).toBe(1);
  });

  test('makes a second connection where the certificate of the first does not cover the other host name', async () => {
    await using it = await visitor();
    await it.tab.goto(`${WWW}/`);
    await shown(it.tab);
    await it.tab.goto(`${ASSETS}/index.html`);
    const exchanges = await it.traffic.settled();
    const connections = (origin: string) =>
      new Set(exchanges.filter(({ url }) => url.startsWith(origin)).map(({ connection }) => connection));
    expect(connections(WWW).size).toBe(1);
    expect(connections(ASSETS).isDisjointFrom(connections(WWW))).toBe(true);
  });

  describe('while the origin, the controller and the broker are stopped', () => {
    beforeAll(() => sites.stopAllButTheEdge());

    const laws = async () => {
      await using it = await visitor();
      await it.tab.goto('http://www.example.com/');
      expect(await shown(it.tab)).toEqual(whole('First'));
      const exchanges = await it.traffic.settled();
      const https = exchanges.filter(({ url }) => url.startsWith('https:'));
      expect(https.map(({ status, protocol }) => [status, protocol])).toEqual(https.map(() => [200, 'h2']));
      expect(https.map(({ headers }) => headers['cache-status'])).toEqual(https.map(() => expect.stringMatching(/^us-1;hit/)));
      expect((await it.traffic.only(`${WWW}/style.css`)).headers['content-encoding']).toBe('br');
      it.traffic.clear();
      await it.tab.reload();
      expect(await shown(it.tab)).toEqual(whole('First'));
      expect((await it.traffic.only(`${WWW}/`)).status).toBe(304);
      await it.tab.goto(`${APP}/posts/7`);
      await it.tab.waitForFunction("document.querySelector('h1').textContent === 'route /posts/7'");
    };
    test('shows a visitor who was never here the page whole, and reloads it', laws);
    test('so it does after the edge was killed and started again', async () => {
      await sites.edge.kill();
      await sites.edge.start({ ready: false });
      await laws();
    });
  });
});

test('a machine without Chromium is told what to run', async () => {
  const missing = findChromium({ PATH: '/nowhere' });
  await expect(missing).rejects.toThrow(ChromiumMissingError);
  await expect(missing).rejects.toThrow('Install it and try again: "sudo apt-get install chromium"');
  await expect(findChromium({ PATH: process.env.PATH, CHROME_PATH: '/nowhere/chrome' })).rejects.toThrow(
    'CHROME_PATH is "/nowhere/chrome"',
  );
});
