import { keyProblem } from '@sluice/contracts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ListingScope, nameOf } from '../../domain/object-listing.ts';
import { body, type CatalogFixture, catalogFixture, fields } from '../../testing/catalog.fixture.ts';

let fixture: CatalogFixture;
beforeAll(async () => {
  fixture = await catalogFixture({ outboxMaxEntries: 0 });
});
afterAll(() => fixture[Symbol.asyncDispose]());

const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** A listing as it is defined: computed from all keys at once. */
function model(keys: readonly string[], { prefix, delimiter }: ListingScope, after: string | undefined): string[] {
  const names = keys
    .filter((key) => key.startsWith(prefix))
    .map((key) => {
      const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
      return at === -1 ? key : key.slice(0, at) + delimiter;
    });
  return [...new Set(names)].sort(compare).filter((name) => after === undefined || compare(name, after) > 0);
}

function pages(scope: ListingScope, after: string | undefined, size: number): string[] {
  const names: string[] = [];
  for (let position = after; ; ) {
    const { entries, truncated } = fixture.catalog.listing.page(scope, position, size);
    names.push(...entries.map(nameOf));
    // A listing that does not go on would do so for ever.
    expect(names.length).toBeLessThan(1_000);
    if (!truncated) return names;
    expect(entries).toHaveLength(size);
    position = names.at(-1);
  }
}

let buckets = 0;
async function filled(keys: readonly string[]): Promise<string> {
  buckets += 1;
  // Neighbours on both sides: what a listing must not run into.
  const bucket = `b${buckets}z`;
  await Promise.all(
    [...keys.map((key) => `${bucket}/${key}`), `${bucket}-x/a`, `${bucket}.x/a`, `${bucket}0/a`].map((key) =>
      fixture.catalog.put(key, fields(), body('a')),
    ),
  );
  return bucket;
}

/** Of few characters, so that they meet; among them those that UTF-16 and UTF-8 order differently, and the greatest. */
const text = (maxLength: number) =>
  fc.string({ unit: fc.constantFrom('a', 'b', '/', '-', '0', 'é', '\uff5e', '\uffff', '\u{1f600}', '\u{10ffff}'), maxLength });

describe('a listing', () => {
  test('in pages of any size, after any text, is what it is at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(
          text(8).filter((key) => keyProblem(`b/${key}`) === undefined),
          { maxLength: 25 },
        ),
        text(3),
        fc.option(
          text(2).filter((delimiter) => delimiter !== ''),
          { nil: undefined },
        ),
        fc.option(text(5), { nil: undefined }),
        fc.integer({ min: 1, max: 6 }),
        async (keys, prefix, delimiter, after, size) => {
          const scope = { bucket: await filled(keys), prefix, delimiter };
          expect(pages(scope, after, size)).toEqual(model(keys, scope, after));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('is in the order of UTF-8 bytes, in which a surrogate pair is after U+FFFF', async () => {
    const keys = ['\u{1f600}', '\uffff', '\uff5e', 'z', 'a'];
    const bucket = await filled(keys);
    expect(pages({ bucket, prefix: '' }, undefined, 2)).toEqual(['a', 'z', '\uff5e', '\uffff', '\u{1f600}']);
    expect([...keys].sort()).not.toEqual([...keys].sort(compare));
  });

  test('tells of each object its size, its ETag and its time, as they are now', async () => {
    const bucket = await filled(['a']);
    fixture.clock.advance(5_000);
    await fixture.catalog.put(`${bucket}/a`, fields(), { ...body('b', 77), etag: 'f'.repeat(32) });
    const uploadedAt = new Date(fixture.clock.nowMs()).toISOString();
    expect(fixture.catalog.listing.page({ bucket, prefix: '' }, undefined, 10).entries).toEqual([
      { kind: 'object', object: { key: 'a', size: 77, etag: 'f'.repeat(32), uploadedAt } },
    ]);
    await fixture.catalog.remove(`${bucket}/a`);
    expect(fixture.catalog.listing.page({ bucket, prefix: '' }, undefined, 10).entries).toEqual([]);
  });

  test('of no entries is nothing, and nothing is left out', async () => {
    const bucket = await filled(['a']);
    expect(fixture.catalog.listing.page({ bucket, prefix: '' }, undefined, 0)).toEqual({ entries: [], truncated: false });
  });

  test('costs a page whatever is behind its common prefixes', async () => {
    const bucket = await filled(Array.from({ length: 20_000 }, (_, index) => `${index % 10}/${index}`));
    const timed = (delimiter: string | undefined, limit: number, count: number): number => {
      const startedMs = performance.now();
      for (let times = 0; times < 10; times += 1) {
        expect(fixture.catalog.listing.page({ bucket, prefix: '', delimiter }, undefined, limit).entries).toHaveLength(count);
      }
      return performance.now() - startedMs;
    };
    const reading = timed(undefined, 20_000, 20_000);
    // A hundred times less when they are searched past.
    expect(timed('/', 1_000, 10)).toBeLessThan(reading / 5);
  });
});
