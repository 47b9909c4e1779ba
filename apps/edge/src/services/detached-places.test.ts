import { FakeClock } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { DetachedPlaces, type Place, WAIT_MS, WAITING_LARGE_MAX } from './detached-places.ts';

const DISK_BYTES = 1_000;

/** Asks for a place, and what has become of that so far. */
function ask(places: DetachedPlaces, sizeBytes: number) {
  const withdrawal = new AbortController();
  const asked: { place?: Place; refused?: string; withdraw(): void } = { withdraw: () => withdrawal.abort() };
  places.take(sizeBytes, withdrawal.signal).then(
    (place) => {
      asked.place = place;
    },
    (error: { code: string }) => {
      asked.refused = error.code;
    },
  );
  return asked;
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('four may come at once, however large; what is complete makes room although it is still being read', async () => {
  const places = new DetachedPlaces(DISK_BYTES, new FakeClock());
  const asked = Array.from({ length: 20 }, () => ask(places, 100));
  for (let complete = 0; complete < 20; complete += 1) {
    await turn();
    expect(asked.filter(({ place }) => place !== undefined)).toHaveLength(Math.min(complete + 4, 10));
    asked[complete]?.place?.complete();
  }
});

test('what is being read takes the room of its bytes until it has been, but four always have some', async () => {
  const places = new DetachedPlaces(DISK_BYTES, new FakeClock());
  const large = Array.from({ length: 5 }, () => ask(places, 2 * DISK_BYTES));
  await turn();
  for (const { place } of large) place?.complete();
  await turn();
  expect(large.map(({ place }) => place !== undefined)).toEqual([true, true, true, true, false]);
  large[0]?.place?.leave();
  await turn();
  expect(large[4]?.place).toBeDefined();
});

test('one that does not fit lets smaller ones pass', async () => {
  const places = new DetachedPlaces(DISK_BYTES, new FakeClock());
  for (const { place } of await settled(Array.from({ length: 4 }, () => ask(places, 200)))) place?.complete();
  const large = ask(places, 300);
  const small = ask(places, 200);
  await turn();
  expect([large.place, small.place === undefined]).toEqual([undefined, false]);
});

test('whoever has waited long enough is refused as busy, and is in nobody’s way afterwards', async () => {
  const clock = new FakeClock();
  const places = new DetachedPlaces(DISK_BYTES, clock);
  const first = await settled(Array.from({ length: 4 }, () => ask(places, 100)));
  const early = ask(places, 100);
  clock.advance(WAIT_MS - 1);
  const late = ask(places, 100);
  clock.advance(1);
  await turn();
  expect([early.refused, late.refused]).toEqual(['EDGE_BUSY', undefined]);
  first[0]?.place?.complete();
  await turn();
  expect([early.place, late.place === undefined]).toEqual([undefined, false]);
});

test('whoever leaves gives up the place in the queue', async () => {
  const places = new DetachedPlaces(DISK_BYTES, new FakeClock());
  const asked = Array.from({ length: 4 + WAITING_LARGE_MAX }, () => ask(places, 100));
  const refused = ask(places, 100);
  await turn();
  expect(refused.refused).toBe('EDGE_BUSY');
  asked[4]?.withdraw();
  const waiting = ask(places, 100);
  await turn();
  expect([asked[4]?.refused, waiting.refused]).toEqual(['EDGE_BUSY', undefined]);
  asked[0]?.place?.leave();
  await turn();
  expect([asked[4]?.place, asked[5]?.place === undefined]).toEqual([undefined, false]);
});

async function settled<Asked>(asked: Asked): Promise<Asked> {
  await turn();
  return asked;
}
