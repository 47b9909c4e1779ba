import { expect, test } from 'vitest';
import { catalogFixture, checksum, fields } from '../../testing/catalog.fixture.ts';
import type { SourcedContent } from './sourced-objects.ts';

/** An object whose bytes are named by `bytes`, found in the state `revision`. */
function content(revision: string, bytes: string): SourcedContent {
  const object = { key: 'site/a', size: 1, revision, bytesRevision: bytes };
  const body = { sha256: checksum(bytes), size: 1, etag: bytes };
  return { object, fields: fields(), body, uploadedAt: '2026-01-01T00:00:00.000Z' };
}

test('a request that is delivered again, when the object has changed since, announces the change as an event of its own', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  const request = { eventId: 'announce-1', cause: 'by-hand' };
  await catalog.sourced.reflect(content('r1', 'x'), undefined, request);
  const again = await catalog.sourced.reflect(content('r2', 'y'), 'r1', request);
  const events = catalog.outbox.oldest(10).map(({ eventId }) => eventId);
  expect(events).toEqual(['announce-1', again?.eventId]);
  expect(new Set(events).size).toBe(2);
});

test('what was found to say nothing new does not take the place of a state that came meanwhile', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.sourced.reflect(content('r1', 'x'), undefined);
  const [newer, touched] = await Promise.allSettled([
    catalog.sourced.reflect(content('r3', 'y'), 'r1'),
    catalog.sourced.reflect(content('r2', 'x'), 'r1'),
  ]);
  expect([newer.status, touched]).toMatchObject(['fulfilled', { reason: { code: 'OVERTAKEN' } }]);
  expect(catalog.sourced.find('site/a')?.revision).toBe('r3');
  expect(catalog.sourced.locate(checksum('y'))?.object?.revision).toBe('r3');
});
