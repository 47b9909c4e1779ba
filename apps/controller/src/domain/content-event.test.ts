import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readContentEvent } from './content-event.ts';

const read = (subject: string, message: unknown) => readContentEvent(subject, Buffer.from(JSON.stringify(message)));

describe('an event of the stream', () => {
  test('from the origin is to be distributed', () => {
    expect(read('content.uploaded', { id: 'e', key: 'site/a', version: 3 })).toEqual({
      kind: 'event',
      event: { kind: 'uploaded', id: 'e', key: 'site/a', version: 3, again: false, at: undefined },
    });
    expect(read('content.removed', { id: 'e', key: 'site/a', version: 3 })).toMatchObject({ event: { kind: 'removed', version: 3 } });
    expect(read('content.invalidated', { id: 'e', tag: 'v41', version: 3, mode: 'purge' })).toMatchObject({
      event: { kind: 'invalidated', selector: { tag: 'v41' }, mode: 'purge' },
    });
  });

  test('with a cause was asked for by hand and is pushed again', () => {
    expect(read('content.uploaded', { id: 'e', key: 'site/a', version: 3, cause: 'c' })).toMatchObject({ event: { again: true } });
  });

  test.each([
    ['raw', 'content.uploaded', { key: 'site/a' }],
    ['a raw invalidation', 'content.invalidated', { prefix: 'site/' }],
    ['malformed', 'content.uploaded', { key: 7, version: 1 }],
    ['a removal without version', 'content.removed', { key: 'site/a' }],
    ['on another subject', 'content.other', { id: 'e', key: 'site/a', version: 3 }],
  ])('%s is left to the origin', (_name, subject, message) => {
    expect(read(subject, message)).toEqual({ kind: 'ignored' });
  });

  test.each([
    ['content.uploaded', { key: 'site/a', version: 3 }],
    ['content.invalidated', { all: true, version: 3 }],
  ])('%s with a version and no id is refused with what to do', (subject, message) => {
    expect(read(subject, message)).toEqual({ kind: 'rejected', reason: expect.stringContaining('leave out "version"') });
  });

  test('of any bytes never throws', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('content.uploaded', 'content.removed', 'content.invalidated'),
        fc.uint8Array({ maxLength: 200 }),
        (subject, bytes) => {
          expect(readContentEvent(subject, bytes).kind).toBe('ignored');
        },
      ),
    );
  });
});
