/** The profile `cluster` of compose.yaml: three servers that are one broker, with the users and TLS that one server has. */
import { contentOf, eventually } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { distributionOf, expectServed, upload } from '../cdn.ts';
import { ComposeStack } from './compose-stack.ts';
import { docker, hasEngine } from './engine.ts';

/** An election takes up to nine seconds, and more on a busy machine. */
const FAILOVER_MS = 60_000;

describe.skipIf(!(await hasEngine()))('docker compose with the profile cluster', () => {
  const stack = new ComposeStack([], { COMPOSE_PROFILES: 'cluster', SLUICE_EDGE_SLOTS: '1' });
  const everywhere = async (key: string, seed: string): Promise<void> => {
    const content = contentOf(20_000, seed);
    const { id } = await eventually(async () => upload(await stack.urlOf('origin', 9000), key, content), FAILOVER_MS);
    const controller = await stack.urlOf('controller', 9100);
    await eventually(async () => expect((await distributionOf(controller, id)).complete).toBe(true), FAILOVER_MS);
    for (const url of await stack.edgeUrls()) await expectServed(url, key, content);
  };

  beforeAll(() => stack.compose('up', '--detach', '--build', '--wait', '--wait-timeout', '120'));
  afterAll(() => stack.down());

  test('whichever server is killed, what is uploaded then reaches every edge', async () => {
    await everywhere('site/before', 'before');
    for (const server of ['nats', 'nats-2', 'nats-3']) {
      const [container] = (await stack.containersOf(server)) as [string];
      await docker(['kill', container]);
      await everywhere(`site/without-${server}`, server);
      await docker(['start', container]);
      await everywhere(`site/with-${server}`, `${server} again`);
    }
  });
});
