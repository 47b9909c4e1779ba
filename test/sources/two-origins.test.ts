/** Two origins on one bucket: whichever dies, nobody who asks an edge and nobody who waits for an event notices. */
import { contentOf } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { s3Server } from '../../apps/origin/src/testing/s3-bucket.fixture.ts';
import { EDGES, logged, metric, page, type Scene, scene } from './scene.ts';

const server = s3Server();
const FILM_BYTES = 30_000_000;
const SOME_TEXT = 40_000;

/** A load of changes of every kind, told of as they are made. Resolves to what tells that all have arrived. */
async function changeEverything(at: Scene, round: number, meanwhile: () => Promise<unknown>): Promise<() => Promise<void>> {
  const announced: string[] = [];
  const change = async (path: string, content: Buffer): Promise<void> => {
    await at.put(path, content);
    announced.push(await at.announce(path));
  };
  await change('page.html', page(SOME_TEXT, round));
  await change('film', contentOf(FILM_BYTES, `film ${round}`));
  for (let index = 0; index < 10; index += 1) await change(`new-${round}-${index}`, contentOf(3_000, `new ${round} ${index}`));
  const happened = meanwhile();
  for (let index = 0; index < 10; index += 1) await change(`small-${index}`, contentOf(2_000 + round, `small ${round} ${index}`));
  for (let index = 0; index < 5; index += 1) {
    await at.put(`noted-${index}`, contentOf(2_500, `noted ${round} ${index}`));
    at.notify(`noted-${index}`);
  }
  await change('same', contentOf(20_000, 'same'));
  const isThere = at.states.get('site/comes-and-goes')?.at(-1) !== undefined;
  if (isThere) {
    await at.remove('comes-and-goes');
    await at.announce('comes-and-goes');
  } else await change('comes-and-goes', contentOf(1_000, `back ${round}`));
  await change('page.html', page(SOME_TEXT, round + 50));
  await happened;
  return async () => {
    for (const cause of announced) expect(await at.distributed(cause)).toMatchObject({ event: 'uploaded', complete: true });
    if (isThere) await at.removalDistributed('comes-and-goes');
    for (const edge of at.stack.edges.values()) for (const key of at.states.keys()) await at.servesNewest(edge, key.slice('site/'.length));
  };
}

test.skipIf(server === undefined)(
  'whichever origin is killed or stopped, no request fails or goes back, no event is lost, and no edge begins anew or takes bytes twice',
  async () => {
    if (server === undefined) return;
    await using at = await scene(server, {
      initial: { 'page.html': page(SOME_TEXT, 0), same: contentOf(20_000, 'same'), 'comes-and-goes': contentOf(1_000, 'comes') },
    });
    const { stack, readers } = at;
    const [one, other] = stack.origins as [Scene['stack']['origin'], Scene['stack']['origin']];
    for (const edge of stack.edges.values()) await at.servesNewest(edge, 'page.html');
    for (const edge of stack.edges.values()) readers.read(edge);
    const startsOver = async () => Promise.all(EDGES.map(({ id }) => logged(stack.edge(id), 'the feed starts over')));
    const before = await startsOver();

    let round = 0;
    for (const [victim, end] of [
      [one, () => one.kill()],
      [other, () => other.kill()],
      [one, () => one.stop()],
    ] as const) {
      round += 1;
      const arrived = await changeEverything(at, round, end);
      await arrived();
      if (round === 2) readers.read(await stack.addEdge({ id: 'eu-1', region: 'EU' }));
      await victim.start();
    }
    const back = await changeEverything(at, round + 1, async () => {});
    await back();
    await readers.stop();
    expect(readers.problems).toEqual([]);
    for (const [, answered] of readers.answered) expect(answered).toBeGreaterThan(100);
    expect(await startsOver()).toEqual(before);
    // Each content and its variants come to an edge once.
    const written = [...at.states.values()].flatMap((each) => each.flatMap((state) => state ?? []));
    const bytes = written.reduce((sum, { byteLength }) => sum + byteLength, 0);
    for (const edge of stack.edges.values()) {
      const moved = await metric(edge, 'sluice_edge_transferred_bytes_total');
      expect([edge.name, moved <= bytes + 500_000 ? 'at most once' : moved / bytes]).toEqual([edge.name, 'at most once']);
    }
  },
);
