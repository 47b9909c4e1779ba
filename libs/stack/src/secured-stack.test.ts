/** A whole stack whose broker knows its users: everything works, and nobody was refused anything on the way. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Bus } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, type ContentDistributed } from '@sluice/contracts';
import { CredentialsDirectory } from '@sluice/credentials';
import { eventually, silentLog, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { Stack } from './mod.ts';

/** Lines of the logs that tell of something refused. */
async function refusals(dir: string): Promise<string[]> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.log'));
  const lines = await Promise.all(
    names.map(async (name) => (await readFile(join(dir, name), 'utf8')).split('\n').map((line) => `${name}: ${line}`)),
  );
  return lines.flat().filter((line) => /violation|not permitted|cannot be reached|consumer interrupted|cannot be followed/i.test(line));
}

test('a secured stack uploads, distributes, serves, patches, invalidates, removes and pulls, takes events by hand and an edge more, over a restart of the broker', async () => {
  await using dir = await temporaryDirectory();
  await using stack = await Stack.start({
    dataDir: dir.path,
    secured: true,
    controllers: 2,
    edges: [
      { id: 'us-1', region: 'us' },
      { id: 'eu-1', region: 'EU' },
    ],
  });
  const connect = (role: 'console' | 'publisher') =>
    Bus.connect({
      ...{ servers: [stack.natsUrl], name: role, inbox: role, log: silentLog, wait: false },
      access: CredentialsDirectory.accessIn((stack.credentials as CredentialsDirectory).dirOf(role)),
    });
  const console = await connect('console');
  const publisher = await connect('publisher');
  const outcomes: ContentDistributed[] = [];
  console.subscribe(CONTENT_DISTRIBUTED, (message) => outcomes.push(message));
  await console.flush();
  const transfersOf = (id: string | null): Promise<(string | undefined)[]> =>
    eventually(() => {
      const outcome = outcomes.find((each) => each.id === id);
      expect(outcome?.complete).toBe(true);
      return outcome?.edges.map(({ outcome: how, transfer }) => transfer ?? how) ?? [];
    }, 20_000);
  const put = async (text: string): Promise<string | null> =>
    (await fetch(`${stack.origin.url}/site/a.txt`, { method: 'PUT', body: text })).headers.get('x-sluice-event-id');
  const served = (): Promise<string[]> =>
    Promise.all(
      [...stack.edges.values()].map(async ({ url }) => {
        const response = await fetch(`${url}/site/a.txt`);
        return response.ok ? `${await response.text()}`.slice(0, 3) : String(response.status);
      }),
    );

  // Too large for the push itself, so the edges ask the origin for bytes, and for a patch.
  const content = Array.from({ length: 5_000 }, (_, index) => `${index * 7919} `).join('');
  expect(await transfersOf(await put(`one${content}`))).toEqual(['full', 'full']);
  expect(await transfersOf(await put(`two${content}`))).toEqual(['delta', 'delta']);
  expect(await served()).toEqual(['two', 'two']);

  await stack.addEdge({ id: 'in-1', region: 'IN' });
  expect(await served()).toEqual(['two', 'two', 'two']);

  const known = outcomes.length;
  publisher.connection.publish('content.invalidated', '{"key":"site/a.txt"}');
  await publisher.flush();
  await eventually(() => expect(outcomes[known]).toMatchObject({ event: 'invalidated', complete: true }), 20_000);
  expect(outcomes[known]?.edges).toHaveLength(3);
  expect(await served()).toEqual(['two', 'two', 'two']);
  expect(await refusals(join(dir.path, 'logs'))).toEqual([]);
  expect(await refusals(join(dir.path, 'broker'))).toEqual([]);

  await stack.broker.stop();
  await stack.broker.start();
  await eventually(() => expect(console.connected).toBe(true), 20_000);
  await Promise.all(stack.members.map((member) => member.waitUntilReady()));
  // The console hears nothing before it is back, so the edges are asked.
  await put('three');
  await eventually(async () => expect(await served()).toEqual(['thr', 'thr', 'thr']), 20_000);
  await fetch(`${stack.origin.url}/site/a.txt`, { method: 'DELETE' });
  await eventually(async () => expect(await served()).toEqual(['404', '404', '404']), 20_000);
  expect(await refusals(join(dir.path, 'broker'))).toEqual([]);
  await Promise.all([console.close(), publisher.close()]);
}, 90_000);
