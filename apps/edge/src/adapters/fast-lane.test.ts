/** The fast lane of an edge as it runs: what a client sees is the same as without it. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Scene } from '../scene.fixture.ts';
import { FastLane, type FastLaneOptions } from './fast-lane.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await Scene.start();
  for (const name of ['a', 'b', 'c'])
    await scene.pushStore(scene.origin.upload(`site/${name}`, Buffer.from(`content ${name}`), { meta: { of: name } }));
  await scene.pushStore(scene.origin.upload('site/large', Buffer.alloc(1_000_000, 'x')));
});
afterAll(() => scene[Symbol.asyncDispose]());

const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${fields}\r\n`;
const CLOSE = 'Connection: close\r\n';

/** What comes for some pieces, sent one by one, until the connection ends. */
const exchange = (...pieces: string[]) => exchangeWith(scene, ...pieces);
async function exchangeWith(to: Scene, ...pieces: string[]): Promise<string> {
  const socket = connect(to.edge?.port ?? 0, '127.0.0.1')
    .setNoDelay()
    .setEncoding('latin1');
  let received = '';
  socket.on('data', (text) => {
    received += text;
  });
  for (const piece of pieces) {
    socket.write(piece, 'latin1');
    await new Promise((resolve) => setImmediate(resolve));
  }
  await once(socket, 'close');
  return received;
}
const bodies = (received: string) => [...received.matchAll(/content ([a-z])/g)].map(([, name]) => name);

describe('fast lane', () => {
  test('its answers have the fields that node:http gives, in the same order', async () => {
    const [fast = '', slow = ''] = (
      await exchange(get('/site/a'), get('/site/a', 'X-Twice: 1\r\nX-Twice: 2\r\n'), get('/site/b', CLOSE))
    ).split(/(?<=content a)/);
    expect(fast.replace(/Date: .*/, '')).toBe(slow.replace(/Date: .*/, ''));
    expect(fast).toContain('x-amz-meta-of: a');
  });

  test('the answers of a site have its fields in either lane, and those of the objects go before them', async () => {
    await using dir = await temporaryDirectory();
    const file = join(dir.path, 'sites.yaml');
    const headers = '{ X-Of: site, Cache-Control: no-cache }';
    await writeFile(
      file,
      `sites: [{ name: www, hosts: [x], bucket: site, headers: ${headers}, cors: { origins: [https://app.example] } }]`,
    );
    await using own = await Scene.start({ EDGE_SITES_FILE: file });
    await own.pushStore(own.origin.upload('site/a', Buffer.from('content a')));
    await own.pushStore(own.origin.upload('site/b', Buffer.from('content b'), { cacheControl: 'max-age=60' }));
    const ask = (path: string, more: string) => get(path, `Origin: https://app.example\r\n${more}`);
    for (const [path, caching] of [
      ['/a', 'no-cache'],
      ['/b', 'max-age=60'],
    ] as const) {
      const answers = (await exchangeWith(own, ask(path, ''), ask(path, ''), ask(path, 'X-Twice: 1\r\nX-Twice: 2\r\n'), ask(path, CLOSE)))
        .split(/(?<=content [ab])/)
        .filter((answer) => answer !== '')
        .map((answer) =>
          answer
            .replace(/(?:Date|Keep-Alive|Connection): .*\r\n/g, '')
            .split('\r\n')
            .sort(),
        );
      expect(answers).toEqual(answers.map(() => answers[0]));
      expect(answers[0]).toEqual(
        expect.arrayContaining([
          'X-Of: site',
          `Cache-Control: ${caching}`,
          'Access-Control-Allow-Origin: https://app.example',
          'Vary: Origin',
        ]),
      );
    }
  });

  test('the paths of operations are those of the edge, also where a site has such objects', async () => {
    await using dir = await temporaryDirectory();
    const file = join(dir.path, 'sites.yaml');
    await writeFile(file, 'sites: [{ name: www, hosts: [x], bucket: site }]');
    await using own = await Scene.start({ EDGE_SITES_FILE: file });
    await own.pushStore(own.origin.upload('site/readyz', Buffer.from('content a')));
    expect(await exchangeWith(own, get('/readyz'), get('/readyz', CLOSE))).toMatch(/^(?:HTTP.*?\{"ready":true\}.*?){2}$/s);
  });

  test('requests in one piece are answered in their order, whichever lane they take', async () => {
    const pipeline = get('/site/a') + get('/site/b', 'Range: bytes=0-8\r\n') + get('/site/absent') + get('/site/c') + get('/site/a', CLOSE);
    expect(bodies(await exchange(pipeline))).toEqual(['a', 'b', 'c', 'a']);
  });

  test('a request that comes in pieces is the same one, wherever it is cut', async () => {
    const whole = get('/site/a') + get('/site/b', CLOSE);
    const expected = (await exchange(whole)).replaceAll(/(?:Date|Age): .*/g, '');
    for (let at = 1; at < whole.length; at += 3) {
      expect((await exchange(whole.slice(0, at), whole.slice(at))).replaceAll(/(?:Date|Age): .*/g, '')).toBe(expected);
    }
  });

  test('who closes its side after its request is answered, and who sends nothing more is let go', async () => {
    const socket = connect({ port: scene.edge?.port ?? 0, host: '127.0.0.1', allowHalfOpen: true }).setEncoding('latin1');
    socket.write(get('/site/a'));
    await once(socket, 'data');
    socket.end();
    await once(socket, 'close');
  });

  test('a stop ends the connections that wait here, also those of clients that leave their side open', async () => {
    await using own = await Scene.start();
    await own.pushStore(own.origin.upload('site/a', Buffer.from('content a')));
    const clients = [false, true].map((allowHalfOpen) => connect({ port: own.edge?.port ?? 0, host: '127.0.0.1', allowHalfOpen }));
    for (const client of clients) {
      client.write(get('/site/a'));
      await once(client, 'data');
    }
    const ended = clients.map((client) => once(client.resume(), 'end'));
    expect(await own.edge?.lifecycle.stop('test')).toBe('stopped');
    await Promise.all(ended);
    for (const client of clients) client.destroy();
  });
});

/** A lane of the test's own, and a port that leads into it. */
async function laneOf(options: Partial<FastLaneOptions>) {
  const lane = new FastLane({ answer: () => undefined, handOver: () => {}, firstMs: 5_000, keepAliveMs: 5_000, ...options });
  const server = createServer({ allowHalfOpen: true }, (socket) => lane.take(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { lane, port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: async () => void server.close() };
}
const MANNER = { siteFields: [], corsFields: [], vary: [] };

test('who does not read what was answered is handed over, with all that was not answered', async () => {
  const plan = { status: 200, constant: [], fields: [], body: [] } as const;
  let answered = 0;
  const handedOver = Promise.withResolvers<Buffer>();
  await using it = await laneOf({
    answer: () => {
      answered += 1;
      return { plan, manner: MANNER, bytes: Buffer.alloc(1_000_000) };
    },
    handOver: (socket) => socket.on('error', () => {}).once('data', (rest) => handedOver.resolve(Buffer.from(rest))),
  });
  const client = connect(it.port, '127.0.0.1').pause();
  client.write(get('/site/a').repeat(500));
  const rest = await handedOver.promise;
  expect(answered).toBeLessThan(20);
  expect(rest.toString('latin1')).toBe(get('/site/a').repeat(500 - answered));
  expect(it.lane.size).toBe(0);
  client.destroy();
});

test('an answer that fails, for example because the disk does not give it, is left to whoever takes the connection over', async () => {
  const handedOver = Promise.withResolvers<Buffer>();
  await using it = await laneOf({
    answer: () => {
      throw new Error('disk I/O error');
    },
    handOver: (socket) => socket.once('data', (rest) => handedOver.resolve(Buffer.from(rest))),
  });
  const client = connect(it.port, '127.0.0.1');
  client.write(get('/site/a'));
  expect((await handedOver.promise).toString('latin1')).toBe(get('/site/a'));
  client.destroy();
});

test('a connection without a request, and one between two, is closed in time', async () => {
  const plan = { status: 304, constant: [], fields: ['ETag', '"x"'], body: [] } as const;
  await using it = await laneOf({ answer: () => ({ plan, manner: MANNER, bytes: undefined }), firstMs: 50, keepAliveMs: 60 });
  const [silent, asking] = [connect(it.port, '127.0.0.1'), connect(it.port, '127.0.0.1')];
  asking.write(get('/'));
  const [[answer]] = await Promise.all([once(asking, 'data'), once(silent, 'close'), once(asking, 'close')]);
  expect(String(answer)).toMatch(
    /^HTTP\/1\.1 304 Not Modified\r\nETag: "x"\r\nDate: .*\r\nConnection: keep-alive\r\nKeep-Alive: timeout=0\r\n\r\n$/,
  );
  await eventually(() => expect(it.lane.size).toBe(0));
});

test('the paths of operations are not the objects of a site, in either lane', async () => {
  await using dir = await temporaryDirectory();
  const file = join(dir.path, 'sites.yaml');
  await writeFile(file, 'sites: [{ name: www, hosts: [x], bucket: site }]');
  await using own = await Scene.start({ EDGE_SITES_FILE: file });
  await own.pushStore(own.origin.upload('site/readyz', Buffer.from('content a')));
  expect(await exchangeWith(own, get('/readyz'), get('/readyz', CLOSE))).not.toContain('content a');
});

test('an index that cannot be read is told to the visitor, and ends no thread', async () => {
  await using own = await Scene.start();
  const index = new DatabaseSync(join(own.dir, 'index.db'));
  index.exec('ALTER TABLE entries RENAME TO away');
  expect(await exchangeWith(own, get('/site/z', CLOSE))).toMatch(/^HTTP\/1.1 500 /);
  expect(await exchangeWith(own, get('/site/z'), get('/site/z', CLOSE))).toMatch(/^HTTP\/1.1 500 /);
  index.exec('ALTER TABLE away RENAME TO entries');
  index.close();
});
