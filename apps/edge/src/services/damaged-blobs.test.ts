import type { Verdict } from '@sluice/blobs';
import { createLogger } from '@sluice/runtime';
import { FakeClock } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { DamagedBlobs, LATER_MAX } from './damaged-blobs.ts';

const log = createLogger('edge', 'silent');

function scene(verdict: Verdict = { kind: 'damaged', size: 1, unreadable: undefined }) {
  const clock = new FakeClock();
  const seen = { verified: 0, deleted: [] as string[], brought: [] as string[] };
  const damaged = new DamagedBlobs({
    blobs: {
      verify: async () => {
        seen.verified += 1;
        return verdict;
      },
      delete: (sha256) => seen.deleted.push(sha256),
    },
    index: { contentNamed: (sha256) => ({ key: `site/${sha256}`, sha256, size: 1 }) },
    transfers: {
      ensure: async ({ sha256 }) => {
        seen.brought.push(sha256);
        return { kind: 'full', bytes: 1 };
      },
    },
    onDropped() {},
    ...{ clock, log },
  });
  return { clock, seen, damaged };
}

test('what many have found damaged at the same time is read again and dropped once, and brought a little later', async () => {
  const { clock, seen, damaged } = scene();
  await Promise.all(Array.from({ length: 50 }, () => damaged.look('a')));
  expect(seen).toMatchObject({ verified: 1, deleted: ['a'], brought: [] });
  clock.advance(1_000);
  expect(seen.brought).toEqual(['a']);
});

test('what turns out right is left alone', async () => {
  const { clock, seen, damaged } = scene({ kind: 'right', size: 1 });
  await damaged.look('a');
  clock.advance(10_000);
  expect(seen).toMatchObject({ deleted: [], brought: [] });
});

test('however much is damaged at once, all is dropped and a bounded number waits to be brought', async () => {
  const { clock, seen, damaged } = scene();
  for (let at = 0; at < 3 * LATER_MAX; at += 1) await damaged.look(`blob-${at}`);
  expect(seen.deleted).toHaveLength(3 * LATER_MAX);
  expect(damaged.waiting).toBe(LATER_MAX);
  clock.advance(1_000);
  expect(damaged.waiting).toBe(0);
  expect(seen.brought).toHaveLength(LATER_MAX);
});
