/** The golden examples of `fixtures/`: what a subject carries is what other senders and older receivers already know. */
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { examples, fixtureNames, readFixture, SUBJECTS } from '../fixtures/examples.ts';
import * as contracts from './mod.ts';

const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const asJson = (value: Uint8Array): unknown => JSON.parse(Buffer.from(value).toString());

describe('golden examples', () => {
  test('every subject has its file, every part of it examples, and no file is without a subject', () => {
    expect(fixtureNames().sort()).toEqual(Object.keys(SUBJECTS).sort());
    for (const [file, { subject, message }] of Object.entries(SUBJECTS)) {
      const fixture = readFixture(file);
      expect(fixture.subject).toBe(subject);
      for (const part of message === undefined ? (['requests', 'replies'] as const) : (['messages'] as const)) {
        expect(fixture[part]?.length, `${file} ${part}`).toBeGreaterThan(0);
      }
    }
  });

  test.each(examples())('$title is understood as written down, and sent again it is the same', ({ subject, schema, example }) => {
    const decoded = contracts.decode(subject, schema, bytes(example.message));
    expect(decoded).toStrictEqual(example.decoded ?? example.message);
    expect(asJson(contracts.encode(subject, schema, decoded))).toStrictEqual(example.decoded ?? example.message);
  });

  test.each([
    ['content.uploaded', '{"key":"site/app.js"}', { key: 'site/app.js' }],
    ['content.invalidated', '{"key":"site/app.js"}', { key: 'site/app.js', mode: 'stale' }],
    ['content.invalidated', '{"prefix":"site/img/"}', { prefix: 'site/img/', mode: 'stale' }],
    ['content.invalidated', '{"tag":"v41"}', { tag: 'v41', mode: 'stale' }],
    ['content.invalidated', '{"all":true}', { all: true, mode: 'stale' }],
    ['content.invalidated', ' {"key" : "site/x","mode":"purge"}\n', { key: 'site/x', mode: 'purge' }],
  ] as const)('typed by hand on %s: %s', (subject, payload, decoded) => {
    const schema = subject === 'content.uploaded' ? contracts.contentUploaded : contracts.contentInvalidated;
    expect(contracts.decode(subject, schema as z.ZodType, Buffer.from(payload))).toStrictEqual(decoded);
  });
});
