import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { eventually, temporaryDirectory, testBroker } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { freePort, PortsTakenError, Stack } from './mod.ts';

const EDGES = [
  { id: 'us-1', region: 'US' },
  { id: 'eu-1', region: 'EU' },
];
const KEY = 'site/hello.txt';
const run = promisify(execFile);
const AS_BYTES = { encoding: 'buffer' } as const;

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function put(stack: Stack, body: string): Promise<void> {
  const response = await fetch(`${stack.origin.url}/${KEY}`, { method: 'PUT', body });
  expect(response.status).toBe(200);
}

describe('a stack', () => {
  test('serves from every edge what was put, also from one that was killed and wiped and one added later, and leaves no process', async () => {
    await using dir = await temporaryDirectory();
    const said: string[] = [];
    const stack = await Stack.start({ dataDir: dir.path, edges: EDGES, say: (message) => said.push(message) });
    const pids = [stack.broker.pid, ...stack.members.map(({ pid }) => pid)];
    try {
      expect([...stack.edges.keys()]).toEqual(['us-1', 'eu-1']);
      expect(said).toContain(`edge us-1 is ready at ${stack.edge('us-1').url}`);
      expect((await readdir(join(dir.path, 'logs'))).sort()).toEqual(['controller.log', 'edge-eu-1.log', 'edge-us-1.log', 'origin.log']);
      await put(stack, 'hello');
      const served = async (id: string): Promise<string> => (await fetch(`${stack.edge(id).url}/${KEY}`)).text();
      await eventually(async () => expect([await served('us-1'), await served('eu-1')]).toEqual(['hello', 'hello']));

      await stack.edge('us-1').kill();
      await stack.edge('us-1').wipe();
      await stack.edge('us-1').start();
      await stack.addEdge({ id: 'in-1', region: 'IN' });
      pids.push(stack.edge('us-1').pid, stack.edge('in-1').pid);
      expect([await served('us-1'), await served('in-1')]).toEqual(['hello', 'hello']);
      await expect(stack.addEdge({ id: 'in-1', region: 'IN' })).rejects.toThrow('two edges have the id "in-1"');
    } finally {
      await stack.stop();
    }
    expect(pids.filter(alive)).toEqual([]);
  }, 60_000);

  test('gives parts of a large object that an edge does not have: of its own fill, and only their blocks where it cannot keep the whole', async () => {
    await using dir = await temporaryDirectory();
    const small = { id: 'in-1', region: 'IN', env: { EDGE_CAPACITY_BYTES: '1000000' } };
    await using stack = await Stack.start({ dataDir: dir.path, edges: [...EDGES, small] });
    const film = randomBytes(30_000_000);
    // Of a region that none of these edges is in, so nobody is pushed it.
    const headers = { 'x-amz-meta-regions': 'JP' };
    expect((await fetch(`${stack.origin.url}/site/film`, { method: 'PUT', body: film, headers })).status).toBe(200);
    const metric = async (url: string, line: string): Promise<number> => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(
        text
          .split('\n')
          .find((each) => each.startsWith(line))
          ?.split(' ')
          .at(-1),
      );
    };
    await eventually(async () => expect(await metric(stack.origin.url, 'sluice_origin_block_digests_total{outcome="made"')).toBe(1));
    for (const id of ['us-1', 'in-1']) {
      const { url } = stack.edge(id);
      const part = async (range: string): Promise<Buffer> => {
        const response = await fetch(`${url}/site/film`, { headers: { range } });
        expect(response.status).toBe(206);
        return Buffer.from(await response.arrayBuffer());
      };
      expect((await part('bytes=-1000')).equals(film.subarray(-1000))).toBe(true);
      expect((await part('bytes=15000000-15999999')).equals(film.subarray(15_000_000, 16_000_000))).toBe(true);
      expect((await part('bytes=20000000-')).equals(film.subarray(20_000_000))).toBe(true);
    }
    const moved = (form: string): Promise<number> =>
      metric(stack.edge('in-1').url, `sluice_edge_transferred_bytes_total{transfer="${form}"`);
    expect(await moved('full')).toBe(0);
    expect(await moved('ahead')).toBeLessThan(15_000_000);
    const whole = await fetch(`${stack.edge('in-1').url}/site/film`);
    expect(Buffer.from(await whole.arrayBuffer()).equals(film)).toBe(true);
    expect(await moved('full')).toBe(30_000_000);
  }, 60_000);

  test('serves text in the coding that a visitor accepts, and its parts in ranges that decode when they are joined', async () => {
    await using dir = await temporaryDirectory();
    await using stack = await Stack.start({ dataDir: dir.path, edges: EDGES });
    const text = Array.from({ length: 2_000 }, (_, line) => `line ${(line * 7919) % 1000} of a text that compresses\n`).join('');
    await put(stack, text);
    const codings = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync };
    for (const { id } of EDGES) {
      const url = `${stack.edge(id).url}/${KEY}`;
      const ask = (coding: string, headers: Record<string, string> = {}) =>
        fetch(url, { headers: { 'accept-encoding': coding, ...headers } });
      const etags = new Set<string | null>();
      for (const [coding, decode] of Object.entries(codings)) {
        const whole = await eventually(async () => {
          const response = await ask(coding);
          expect(response.headers.get('content-encoding')).toBe(coding);
          return response;
        });
        expect(await whole.text()).toBe(text);
        const etag = whole.headers.get('etag') ?? '';
        etags.add(etag);
        expect((await ask(coding, { 'if-none-match': etag })).status).toBe(304);
        // As curl reads them: fetch would decode each part alone.
        const parts = ['0-999', '1000-'].map((range) =>
          run('curl', ['-sS', '-H', `Accept-Encoding: ${coding}`, '-r', range, url], AS_BYTES),
        );
        const bytes = Buffer.concat((await Promise.all(parts)).map(({ stdout }) => stdout));
        expect(decode(bytes).toString()).toBe(text);
      }
      const plain = await ask('identity');
      expect(plain.headers.get('content-encoding')).toBeNull();
      etags.add(plain.headers.get('etag'));
      expect(await plain.text()).toBe(text);
      expect(etags.size).toBe(4);
      expect((await run('curl', ['-sS', '--compressed', url])).stdout).toBe(text);
    }
  }, 60_000);

  test('in which one part cannot start is stopped whole, and the error has that part’s own words', async () => {
    await using dir = await temporaryDirectory();
    const edges = [EDGES[0], { ...EDGES[1], env: { EDGE_CAPACITY_BYTES: 'much' } }] as typeof EDGES;
    const origin = await freePort();
    await expect(Stack.start({ dataDir: dir.path, edges, ports: { origin } })).rejects.toThrow(
      /edge eu-1 exited with 2[\s\S]*EDGE_CAPACITY_BYTES: must be a number of bytes/,
    );
    await expect(fetch(`http://127.0.0.1:${origin}/healthz`)).rejects.toThrow();
    // The directory is free again, too.
    await (await Stack.start({ dataDir: dir.path, edges: [] })).stop();
  }, 60_000);

  test('uses a broker that runs already and does not stop it; a second stack keeps off its data directory', async () => {
    await using environment = await testBroker();
    await using dir = await temporaryDirectory();
    await using stack = await Stack.start({ dataDir: dir.path, edges: [], broker: environment.url, controllers: 2 });
    expect(stack.controllers.map(({ name }) => name)).toEqual(['controller', 'controller-2']);
    await expect(Stack.start({ dataDir: dir.path, edges: [], broker: environment.url })).rejects.toThrow(`another stack uses ${dir.path}`);
    await stack.stop();
    expect(environment.broker.running).toBe(true);
  }, 60_000);

  test('reports a part that dies while up, by name, and not the ends it was asked for', async () => {
    await using dir = await temporaryDirectory();
    await using stack = await Stack.start({ dataDir: dir.path, edges: EDGES });
    const ends: string[] = [];
    const reported = new Promise<void>((resolve) => {
      stack.onUnexpectedEnd((name, how) => {
        ends.push(`${name} ${how}`);
        resolve();
      });
    });
    await stack.edge('eu-1').kill();
    process.kill(stack.edge('us-1').pid, 'SIGKILL');
    await reported;
    await stack.stop();
    expect(ends).toEqual(['edge us-1 was ended by SIGKILL']);
  }, 60_000);

  test('given up while it starts leaves no process', async () => {
    await using dir = await temporaryDirectory();
    const abort = new AbortController();
    const [broker, origin] = [await freePort(), await freePort()];
    const start = Stack.start({
      dataDir: dir.path,
      edges: EDGES,
      ports: { broker, origin },
      signal: abort.signal,
      say: (message) => {
        if (message.includes('origin')) abort.abort(new Error('interrupted'));
      },
    });
    const outcome = await start.then(
      async (stack) => {
        await stack.stop();
        return 'started';
      },
      (error: Error) => error.message,
    );
    expect(outcome).toBe('interrupted');
    for (const port of [broker, origin]) await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  }, 60_000);

  test('refuses, before it starts anything, ports that are taken and edges that cannot be', async () => {
    await using environment = await testBroker();
    await using dir = await temporaryDirectory();
    const { port } = environment.broker;
    const refusal = await Stack.start({ dataDir: dir.path, edges: [], ports: { broker: port } }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(PortsTakenError);
    expect((refusal as Error).message).toBe(`port ${port} (for the broker) is taken`);
    await expect(Stack.start({ dataDir: dir.path, edges: [{ id: '../x', region: 'US' }] })).rejects.toThrow('the edge id "../x" must be');
    expect(await readdir(dir.path)).toEqual([]);
  });
});
