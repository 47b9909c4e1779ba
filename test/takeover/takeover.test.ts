/** Edges that have the public key of the origin, and somebody who has the broker: it can keep news from them, and that is all. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { edgePush } from '@sluice/contracts';
import { generateSigningKey } from '@sluice/signing';
import { type Member, Stack } from '@sluice/stack';
import { contentOf, eventually, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { distributionOf, expectServed, get, invalidate, upload } from '../cdn.ts';
import { Attacker, EVIL } from './attacker.ts';

const EDGES = [
  { id: 'us-1', region: 'US' },
  { id: 'eu-1', region: 'EU' },
];

async function signedStack() {
  const cleanup = new AsyncDisposableStack();
  try {
    const dir = cleanup.use(await temporaryDirectory());
    const privateFile = join(dir.path, 'origin.pem');
    const publicFile = join(dir.path, 'public.pem');
    const key = generateSigningKey();
    await writeFile(privateFile, key.privatePem);
    await writeFile(publicFile, key.publicPem);
    const stack = cleanup.use(
      await Stack.start({
        dataDir: join(dir.path, 'data'),
        edges: EDGES,
        env: {
          // Bytes come over the broker: nobody answers here.
          origin: { ORIGIN_SIGNING_KEY_FILE: privateFile, ORIGIN_URL: 'http://127.0.0.1:9', ORIGIN_CODING_THREADS: '0' },
          edge: { EDGE_ORIGIN_PUBLIC_KEYS_FILE: publicFile, EDGE_CATCH_UP_INTERVAL_MS: '500', EDGE_NEGATIVE_TTL_MS: '0' },
        },
      }),
    );
    const edges = (): readonly Member[] => [...stack.edges.values()];
    /** Everything that happened until the event has arrived everywhere. */
    const distributed = (id: string) =>
      eventually(async () => {
        const outcome = await distributionOf(stack.controller.url, id);
        expect(outcome.complete, JSON.stringify(outcome.edges)).toBe(true);
        return outcome;
      });
    const put = async (name: string, content: Buffer, headers: Record<string, string> = {}) =>
      distributed((await upload(stack.origin.url, name, content, headers)).id);
    const remove = async (name: string) => {
      const response = await fetch(`${stack.origin.url}/${name}`, { method: 'DELETE' });
      await distributed(response.headers.get('x-sluice-event-id') as string);
    };
    return {
      ...{ stack, edges, key, privateFile, publicFile, put, remove, distributed },
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

async function refusals(edge: Member, reason: string): Promise<number> {
  const text = await (await fetch(`${edge.url}/metrics`)).text();
  const line = text
    .split('\n')
    .find((candidate) => candidate.startsWith(`sluice_edge_signature_refusals_total{`) && candidate.includes(`"${reason}"`));
  return Number(line?.split(' ').at(-1));
}

/** What a visitor is sent, also of an answer that is cut off; `status` 0: of nothing. */
function received(url: string, headers: Record<string, string> = {}): Promise<{ status: number; bytes: Buffer; isWhole: boolean }> {
  return new Promise((resolve) => {
    const asked = request(url, { headers }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', () => {});
      response.on('close', () => resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(pieces), isWhole: response.complete }));
    });
    asked.on('error', () => resolve({ status: 0, bytes: Buffer.alloc(0), isWhole: false }));
    asked.end();
  });
}

test('who has the broker cannot make an edge serve, hide or roll back anything, whether it holds the content or its disk is new', async () => {
  await using it = await signedStack();
  const { stack, put, remove } = it;
  await using attacker = await Attacker.connect(stack.natsUrl);

  // A history in which everything has happened once, so that every old word can be said again.
  const current = new Map<string, Buffer>();
  for (const name of ['a', 'b', 'purged', 'back', 'inv']) {
    await put(`site/${name}`, contentOf(600, `${name} 1`));
    current.set(`site/${name}`, contentOf(3_000, `${name} 2`));
  }
  await remove('site/back');
  await it.distributed((await invalidate(stack.origin.url, { key: 'site/purged', mode: 'purge' })).id);
  await it.distributed((await invalidate(stack.origin.url, { all: true })).id);
  await put('site/moved', contentOf(600, 'moved 1'), { 'x-amz-meta-regions': 'US' });
  await put('site/moved', contentOf(600, 'moved 2'), { 'x-amz-meta-regions': 'EU' });
  await put('site/moved', contentOf(600, 'moved 3'), { 'x-amz-meta-regions': 'US,EU' });
  current.set('site/moved', contentOf(600, 'moved 3'));
  await put('site/gone', contentOf(600, 'gone 1'));
  await remove('site/gone');
  for (const [name, content] of current) await put(name, content);
  for (const edge of it.edges()) for (const [name, content] of current) await expectServed(edge.url, name, content);
  // Asked for and not there: a reply to be told again.
  expect((await get(stack.edge('us-1').url, 'site/later')).status).toBe(404);
  await put('site/later', contentOf(700, 'later'));
  current.set('site/later', contentOf(700, 'later'));
  await eventually(() => expect(attacker.replies.get('origin.changes')?.length).toBeGreaterThan(4));
  expect(new Set(attacker.pushes.map((command) => (command.op === 'remove' ? command.reason : command.op)))).toEqual(
    new Set(['store', 'deleted', 'region', 'invalidate']),
  );

  await stack.origin.kill();
  await Promise.all(stack.controllers.map((controller) => controller.kill()));
  attacker.speakForOrigin();
  const fresh = await stack.addEdge({ id: 'us-2', region: 'US' }, { ready: false });

  let reads = 0;
  const readEach = async (edge: Member): Promise<void> => {
    const looks = [...current].map(async ([name, content]) => {
      const { status, body } = await get(edge.url, name);
      reads += 1;
      if (edge === fresh) return expect(status, `${name} at an edge that has nothing`).toBe(504);
      expect(status, `${name} at ${edge.name}`).toBe(200);
      expect(body.equals(content), `${name} at ${edge.name} is what it was`).toBe(true);
    });
    const [gone, never] = await Promise.all([get(edge.url, 'site/gone'), get(edge.url, 'site/never'), ...looks]);
    expect([404, 504], `site/gone at ${edge.name}`).toContain(gone.status);
    expect(never.status, 'a key that nobody knows').toBe(504);
  };
  const readEverything = () => Promise.all(it.edges().map(readEach));
  let pushed = 0;
  const pushEverything = async (): Promise<void> => {
    for (const command of attacker.commands()) {
      const saying = ['us-1', 'eu-1', 'us-2'].map((id) => attacker.bus.request(edgePush(id), command, { timeoutMs: 10_000 }));
      await Promise.allSettled(saying);
      pushed += saying.length;
    }
  };
  // At the same time, until all has been said; what it has left behind is read after that.
  const saying = pushEverything();
  let isSaid = false;
  void saying.finally(() => {
    isSaid = true;
  });
  const readers = it.edges().map(async (edge) => {
    while (!isSaid) await readEach(edge);
  });
  await Promise.all([saying, ...readers]);
  await readEverything();
  // Every lie has been told to somebody by now, most of them often.
  await eventually(async () => {
    await readEverything();
    const told = ['replay', 'not found', 'other content', 'empty listing', 'purge in the feed', 'failure', 'edge busy', 'nonsense'];
    expect([...attacker.told.keys()]).toEqual(expect.arrayContaining(told));
  }, 60_000);
  for (const edge of it.edges()) {
    for (const reason of ['unsigned', 'unknown_key', 'wrong', ...(edge === fresh ? [] : ['contradictory'])]) {
      expect(await refusals(edge, reason), `${reason} at ${edge.name}`).toBeGreaterThan(0);
    }
  }
  expect(attacker.fetchedElsewhere).toBe(0);
  expect(pushed).toBeGreaterThan(50);
  // That there were readers all the while; how many, the machine decides.
  expect(reads).toBeGreaterThan(30);

  attacker.beSilent();
  await stack.origin.start();
  await Promise.all(stack.controllers.map((controller) => controller.start()));
  await fresh.waitUntilReady();
  current.set('site/a', contentOf(900, 'a 3'));
  await eventually(() => put('site/a', contentOf(900, 'a 3')), 30_000);
  for (const edge of it.edges()) {
    for (const [name, content] of current) await eventually(() => expectServed(edge.url, name, content), 30_000);
    await eventually(async () => expect((await get(edge.url, 'site/gone')).status).toBe(404));
  }
});

test('who gives other bytes beside a living origin has none of them sent to a visitor, not even at the beginning of an answer that is cut off', async () => {
  await using it = await signedStack();
  const { stack, put } = it;
  await using attacker = await Attacker.connect(stack.natsUrl);
  // Kept nowhere, so every visitor's answer comes over the broker: in one message, in some, and with digests of its blocks.
  const sizes = [900, 3_000_000, 9_000_000];
  const contents = sizes.map((size) => [`site/${size}`, contentOf(size, String(size))] as const);
  for (const [name, content] of contents) await put(name, content, { 'cache-control': 'no-store' });
  const [us] = it.edges() as [Member];
  for (const [name, content] of contents) await expectServed(us.url, name, content);
  attacker.standBesideOrigin();
  await attacker.bus.flush();
  let broken = 0;
  for (let round = 0; round < 3; round += 1) {
    for (const [name, content] of contents) {
      for (const range of [undefined, [1, 800]] as const) {
        const headers: Record<string, string> = range === undefined ? {} : { range: `bytes=${range.join('-')}` };
        const { status, bytes, isWhole } = await received(`${us.url}/${name}`, headers);
        if (status === 0 || status >= 500) broken += 1;
        else {
          const wanted = range === undefined ? content : content.subarray(range[0], range[1] + 1);
          expect(bytes.equals(wanted.subarray(0, bytes.byteLength)), `${name} ${headers.range}`).toBe(true);
          expect(bytes.includes(EVIL.subarray(0, 16))).toBe(false);
          if (!isWhole) broken += 1;
        }
      }
    }
  }
  expect(attacker.told.get('bytes')).toBeGreaterThan(10);
  expect(broken).toBeGreaterThan(0);
});

test('keys rotate with overlap and without a restart: nothing is refused on the way, and the old key is worth nothing at its end', async () => {
  await using it = await signedStack();
  const { stack, put, publicFile, privateFile, key } = it;
  await using attacker = await Attacker.connect(stack.natsUrl);
  const next = generateSigningKey();
  const replace = async (path: string, text: string): Promise<void> => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  const untilLogged = async (member: Member, message: string, ids: readonly string[]): Promise<void> => {
    await eventually(async () => {
      const lines = (await readFile(member.logFile, 'utf8')).split('\n').filter((line) => line.includes(message));
      const { keyIds, keyId } = JSON.parse(lines.at(-1) as string);
      expect(keyIds ?? [keyId]).toEqual(ids);
    }, 30_000);
  };
  const untilEdgesTake = (ids: readonly string[]) =>
    Promise.all(it.edges().map((edge) => untilLogged(edge, 'only what the origin has signed is taken', ids)));
  await put('site/a', contentOf(500, '1'));
  const [old] = attacker.pushes;
  await replace(publicFile, key.publicPem + next.publicPem);
  await untilEdgesTake([key.keyId, next.keyId]);
  await put('site/a', contentOf(500, '2'));
  await replace(privateFile, next.privatePem);
  await untilLogged(stack.origin, 'what this origin says is signed', [next.keyId]);
  await put('site/a', contentOf(500, '3'));
  for (const edge of it.edges()) {
    for (const reason of ['unsigned', 'unknown_key', 'wrong', 'contradictory']) expect(await refusals(edge, reason)).toBe(0);
  }
  await replace(publicFile, next.publicPem);
  await untilEdgesTake([next.keyId]);
  await put('site/a', contentOf(500, '4'));
  for (const edge of it.edges()) await expectServed(edge.url, 'site/a', contentOf(500, '4'));
  const refused = attacker.bus.request(edgePush('us-1'), old as (typeof attacker.pushes)[number], { timeoutMs: 5_000 });
  await expect(refused).rejects.toMatchObject({ code: 'SIGNATURE_REFUSED', retryable: false });
  expect(await refusals(stack.edge('us-1'), 'unknown_key')).toBe(1);
});
