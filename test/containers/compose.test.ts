/** The stack of compose.yaml, as `docker compose up` brings it up, under a project name and on ports of its own. */
import { join } from 'node:path';
import { Bus } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, type ContentDistributed } from '@sluice/contracts';
import { CredentialsDirectory } from '@sluice/credentials';
import { contentOf, eventually, silentLog, temporaryDirectory } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { distributionOf, edgesOf, expectServed, get, invalidate, upload } from '../cdn.ts';
import { ComposeStack } from './compose-stack.ts';
import { docker, hasEngine, publishedUrl } from './engine.ts';

const engine = await hasEngine();

describe.skipIf(!engine)('docker compose', () => {
  /** Credentials for as many edges of region US at first. */
  const SLOTS = 3;
  const stack = new ComposeStack([], { SLUICE_EDGE_SLOTS: String(SLOTS) });
  const { project } = stack;
  const compose = (...args: string[]): Promise<string> => stack.compose(...args);
  const containersOf = (service: string): Promise<string[]> => stack.containersOf(service);
  const urlOf = (service: string, port: number): Promise<string> => stack.urlOf(service, port);
  const edgeUrls = (): Promise<string[]> => stack.edgeUrls();
  const replicaIds = (count: number): string[] => Array.from({ length: count }, (_, index) => `us-${index + 1}`);
  const liveIds = async (): Promise<string[]> => (await edgesOf(controller)).map(({ id }) => id).sort();
  const everywhere = (id: string, edges: number): Promise<void> =>
    eventually(async () => {
      const outcome = await distributionOf(controller, id);
      expect(outcome.complete).toBe(true);
      expect(outcome.edges).toHaveLength(edges);
    }, 30_000);
  const content = contentOf(200_000, 'compose');
  let origin: string;
  let controller: string;

  beforeAll(async () => {
    await compose('up', '--detach', '--build', '--wait', '--wait-timeout', '120');
    origin = await urlOf('origin', 9000);
    controller = await urlOf('controller', 9100);
  });
  afterAll(() => stack.down());

  test('after up --wait everything is healthy and the three edges are known', async () => {
    const states = (await compose('ps', '--format', '{{.Service}} {{.State}} {{.Health}}')).split('\n').sort();
    expect(states.map((state) => state.trim())).toEqual([
      'controller running healthy',
      'edge running healthy',
      'edge-eu running healthy',
      'edge-in running healthy',
      'nats running',
      'origin running healthy',
    ]);
    expect(await liveIds()).toEqual(['eu-1', 'in-1', ...replicaIds(1)]);
  });

  test('an upload is served by every edge', async () => {
    await everywhere((await upload(origin, 'site/app.js', content)).id, 3);
    for (const url of await edgeUrls()) await expectServed(url, 'site/app.js', content);
  });

  test('scaled to four, each edge has an id of its own, and the new ones know by themselves what was uploaded before they came', async () => {
    const { version } = await upload(origin, 'site/before', content);
    const old = await liveIds();
    // The last of four finds no credentials, says so, and comes up when there are more.
    await compose('up', '--detach', '--no-recreate', '--scale', `edge=${SLOTS + 1}`);
    await eventually(
      async () => expect(await compose('logs', 'edge')).toContain(`the credentials of all ${SLOTS} edges in /credentials are in use`),
      30_000,
    );
    await stack.composeWith({ SLUICE_EDGE_SLOTS: String(SLOTS + 1) }, 'run', '--rm', 'credentials');
    await compose('kill', '--signal', 'HUP', 'nats');
    await compose('up', '--detach', '--wait', '--no-recreate', '--scale', `edge=${SLOTS + 1}`);
    await eventually(async () => expect(await liveIds()).toEqual(['eu-1', 'in-1', ...replicaIds(4)]), 20_000);
    // Nobody has asked the new ones for anything yet; what they report comes with their next heartbeat.
    await eventually(async () => {
      const newcomers = (await edgesOf(controller)).filter(({ id }) => !old.includes(id));
      expect(newcomers).toHaveLength(3);
      for (const { objects, catalogVersion } of newcomers) {
        expect(objects).toBe(2);
        expect(catalogVersion).toBeGreaterThanOrEqual(version);
      }
    }, 5_000);
    for (const url of await edgeUrls()) await expectServed(url, 'site/before', content);
  });

  test('the broker takes nobody without a key; with keys that are copied out, people listen and ask for what their role may', async () => {
    const servers = [await stack.natsUrl()];
    const directory = await temporaryDirectory();
    const accessOf = async (role: string) => {
      await compose('cp', `credentials:/credentials/${role}`, join(directory.path, role));
      return CredentialsDirectory.accessIn(join(directory.path, role));
    };
    const connect = async (role: string) =>
      Bus.connect({ servers, name: role, inbox: role, access: await accessOf(role), log: silentLog, wait: false });
    const { caFile } = await accessOf('administrator');
    await expect(Bus.connect({ servers, name: 'nobody', access: { caFile }, log: silentLog, wait: false })).rejects.toThrow(
      'wants to know who this is',
    );
    await expect(Bus.connect({ servers, name: 'nobody', log: silentLog, wait: false })).rejects.toThrow('NATS_CA_FILE');
    const [console, publisher] = [await connect('console'), await connect('publisher')];
    const outcomes: ContentDistributed[] = [];
    console.subscribe(CONTENT_DISTRIBUTED, (outcome) => outcomes.push(outcome));
    await console.flush();
    publisher.connection.publish('content.removed', '{"key":"site/app.js"}');
    publisher.connection.publish('content.invalidated', '{"key":"site/app.js"}');
    await publisher.flush();
    await eventually(() => expect(outcomes).toMatchObject([{ event: 'invalidated', complete: true }]), 20_000);
    for (const url of await edgeUrls()) await expectServed(url, 'site/app.js', content);
    await Promise.all([console.close(), publisher.close()]);
    await directory[Symbol.asyncDispose]();
  });

  test('an invalidation reaches all of them, and each asks the origin before it serves again', async () => {
    const urls = await edgeUrls();
    expect(urls).toHaveLength(6);
    for (const url of urls) expect((await get(url, 'site/before')).cache).toMatch(/;\s*hit$/);
    await everywhere((await invalidate(origin, { prefix: 'site/' })).id, 6);
    for (const url of urls) {
      expect((await get(url, 'site/before')).cache).toContain('fwd=stale');
      await expectServed(url, 'site/before', content);
    }
  });

  test('a killed edge is forgotten; started again it has what was uploaded meanwhile', async () => {
    const [victim] = (await containersOf('edge')) as [string];
    await docker(['kill', victim]);
    await eventually(async () => expect(await liveIds()).toHaveLength(5), 10_000);
    const meanwhile = contentOf(30_000, 'meanwhile');
    await everywhere((await upload(origin, 'site/meanwhile', meanwhile)).id, 5);
    await docker(['start', victim]);
    const url = await publishedUrl(victim, 8080);
    await eventually(() => expectServed(url, 'site/meanwhile', meanwhile), 30_000);
    // It took the credentials that it had left.
    await eventually(async () => expect(await liveIds()).toEqual(['eu-1', 'in-1', ...replicaIds(4)]), 20_000);
  });

  test('with broker, origin and controller killed and started again, nothing is lost and uploads go on arriving', async () => {
    await compose('kill', 'nats', 'origin', 'controller');
    for (const url of await edgeUrls()) await expectServed(url, 'site/app.js', content);
    await compose('up', '--detach', '--wait', '--no-recreate', '--scale', 'edge=4');
    origin = await urlOf('origin', 9000);
    controller = await urlOf('controller', 9100);
    await expectServed(origin, 'site/app.js', content);
    await eventually(async () => expect(await liveIds()).toHaveLength(6), 30_000);
    const next = contentOf(20_000, 'next');
    await everywhere((await upload(origin, 'site/next', next)).id, 6);
    for (const url of await edgeUrls()) await expectServed(url, 'site/next', next);
  });

  test('scaled down, the edges that leave are forgotten at once', async () => {
    await compose('up', '--detach', '--wait', '--no-recreate', '--scale', 'edge=1');
    await eventually(async () => expect(await liveIds()).toHaveLength(3), 3_000);
    await everywhere((await upload(origin, 'site/last', content)).id, 3);
  });

  test('down --volumes ends cleanly and leaves nothing of it', async () => {
    // An edge that can be scaled has no volume of its own that could stay behind.
    expect(await docker(['inspect', '--format', '{{range .Mounts}}{{.Destination}}{{end}}', ...(await containersOf('edge'))])).toBe(
      '/credentials',
    );
    await compose('down', '--volumes');
    const label = `label=com.docker.compose.project=${project}`;
    for (const what of ['container', 'volume', 'network']) {
      expect(await docker([what, 'ls', ...(what === 'container' ? ['-a'] : []), '-q', '--filter', label])).toBe('');
    }
  });
});
