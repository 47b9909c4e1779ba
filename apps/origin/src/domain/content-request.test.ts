import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readContentRequest } from './content-request.ts';

const read = (subject: string, text: string) => readContentRequest(subject, Buffer.from(text));

describe('content request', () => {
  test.each([
    ['content.uploaded', '{"key":"site/a"}', { kind: 'announce', key: 'site/a', id: undefined }],
    ['content.uploaded', '{"key":"site/a","id":"mine"}', { kind: 'announce', key: 'site/a', id: 'mine' }],
    ['content.uploaded', '{"key":"site/a","version":3}', { kind: 'announcement' }],
    ['content.invalidated', '{"prefix":"site/"}', { kind: 'invalidate', selector: { prefix: 'site/' }, mode: 'stale', id: undefined }],
    ['content.invalidated', '{"all":true,"mode":"purge"}', { kind: 'invalidate', selector: { all: true }, mode: 'purge', id: undefined }],
    ['content.invalidated', '{"tag":"v41","version":4}', { kind: 'announcement' }],
    ['content.removed', '{"id":"x","key":"site/a","version":5}', { kind: 'announcement' }],
  ])('%s %s', (subject, text, expected) => expect(read(subject, text)).toEqual(expected));

  test.each([
    ['content.uploaded', 'not json', /not JSON/],
    ['content.uploaded', '{}', /key/],
    ['content.invalidated', '{}', /exactly one/],
    ['content.invalidated', '{"key":"site/a","all":true}', /exactly one/],
    ['content.removed', '{"key":"site/a"}', /version/],
  ])('%s %s is invalid, with the reason', (subject, text, reason) => {
    expect(read(subject, text)).toEqual({ kind: 'invalid', reason: expect.stringMatching(reason) });
  });

  test('nothing that comes makes it throw', () => {
    const subjects = fc.constantFrom('content.uploaded', 'content.invalidated', 'content.removed', 'content.other');
    const data = fc.oneof(
      fc.uint8Array(),
      fc.json().map((text) => new TextEncoder().encode(text)),
    );
    fc.assert(fc.property(subjects, data, (subject, bytes) => void readContentRequest(subject, bytes)));
  });
});
