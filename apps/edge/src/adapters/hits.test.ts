import { expect, test } from 'vitest';
import { manifestOf } from '../domain/history.fixture.ts';
import { entityTag } from '../domain/response.ts';
import { memoryOf } from '../services/memory-tier.fixture.ts';
import { Hits } from './hits.ts';

const manifest = manifestOf('site/a', 1, { size: 1_000 });
const answer = { kind: 'object', manifest, ageSeconds: 0, handling: { hit: true }, result: 'hit' } as const;

function scene(held: readonly string[] = [manifest.sha256]) {
  const [memory] = memoryOf(1, 100_000, () => 1_000, held).tiers;
  const used: string[] = [];
  const count = (sha256: string): void => void used.push(sha256);
  const hits = new Hits({
    edgeId: 'us-1',
    memory,
    blobs: { has: (sha256) => held.includes(sha256) },
    used: { count },
    bringVariant: () => {},
  });
  return { hits, memory, used };
}

test('a 304 and a HEAD are uses of an object and read none of its bytes', () => {
  const { hits, memory, used } = scene();
  expect(hits.of({ method: 'GET', fields: { 'if-none-match': entityTag(manifest) } }, answer, undefined)?.plan.status).toBe(304);
  expect(hits.of({ method: 'HEAD', fields: {} }, answer, undefined)?.plan.status).toBe(200);
  expect([memory.count, used]).toEqual([0, [manifest.sha256, manifest.sha256]]);
});

test('a GET has the bytes, of a range those of the range, and several ranges are not for here', () => {
  const { hits, memory, used } = scene();
  expect(hits.of({ method: 'GET', fields: {} }, answer, undefined)?.bytes?.byteLength).toBe(1_000);
  expect(hits.of({ method: 'GET', fields: { range: 'bytes=2-4' } }, answer, undefined)?.bytes?.byteLength).toBe(3);
  expect(hits.of({ method: 'GET', fields: { range: 'bytes=0-0,900-999' } }, answer, undefined)).toBeUndefined();
  expect([memory.count, used.length]).toEqual([1, 2]);
});

test('what is not held is no hit, whether its bytes are needed or not, and a variant of it neither', () => {
  const variant = { coding: 'gzip', sha256: 'f'.repeat(64), size: 500 } as const;
  const { hits, used } = scene([variant.sha256]);
  const fields = [{}, { 'if-none-match': entityTag(manifest) }, { 'accept-encoding': 'gzip' }];
  const coded = { ...answer, manifest: { ...manifest, variants: [variant] } };
  for (const method of ['GET', 'HEAD'] as const) {
    for (const asked of fields) expect(hits.of({ method, fields: asked }, coded, undefined)).toBeUndefined();
  }
  expect(used).toEqual([]);
});
