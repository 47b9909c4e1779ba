import { KEY_MAX_BYTES, keyProblem } from '@sluice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  bareTag,
  bytesRevisionOf,
  compareStates,
  decodeKey,
  parseRevision,
  revisionOf,
  S3Keys,
  type S3State,
  stateOf,
  strongTag,
} from './s3-entry.ts';

const state = fc.record<S3State>({
  etag: fc.string({ minLength: 1, maxLength: 400 }),
  size: fc.maxSafeNat(),
  modifiedMs: fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
});

test('a state is read again out of its revision, and both revisions are in bounds', () => {
  fc.assert(
    fc.property(state, fc.option(fc.maxSafeNat(), { nil: undefined }), (told, saidAtMs) => {
      const revision = revisionOf(told, saidAtMs);
      expect(parseRevision(revision)).toEqual(told);
      expect(revision.length).toBeLessThanOrEqual(512);
      expect(bytesRevisionOf(told).length).toBeLessThanOrEqual(512);
    }),
  );
});

test('two states have two revisions, and equal bytes one revision of their bytes', () => {
  fc.assert(
    fc.property(state, state, (a, b) => {
      const isEqual = a.etag === b.etag && a.size === b.size && a.modifiedMs === b.modifiedMs;
      expect(revisionOf(a, undefined) === revisionOf(b, undefined)).toBe(isEqual);
      expect(bytesRevisionOf(a)).toBe(bytesRevisionOf({ ...a, modifiedMs: b.modifiedMs }));
    }),
  );
});

test('what is no revision is none', () => {
  for (const text of ['', '5', '5.6', '5.6.', '-5.6."a"', '5.x."a"', '5 6 "a"', `5.6.${'e'.repeat(401)}`, '9007199254740993.6."a"']) {
    expect(parseRevision(text)).toBeUndefined();
  }
  fc.assert(fc.property(fc.string(), (text) => void parseRevision(text)));
});

test('an object seen in the second of its change gets another revision once that is over, where a service tells seconds only', () => {
  const secondsOnly = { etag: '"e"', size: 5, modifiedMs: 1_700_000_000_000 };
  const at = (saidAtMs: number | undefined) => revisionOf(secondsOnly, saidAtMs);
  const { modifiedMs } = secondsOnly;
  expect(at(modifiedMs)).toBe(at(modifiedMs + 1_000));
  expect(at(modifiedMs + 2_000)).not.toBe(at(modifiedMs + 1_000));
  expect(at(modifiedMs + 2_000)).toBe(at(modifiedMs + 3_600_000));
  expect(at(undefined)).toBe(at(modifiedMs + 3_600_000));
});

test('a header that tells the second and a listing that tells the millisecond speak of one state; of another second only where a service rounds up', () => {
  const told = { etag: '"e"', size: 5, modifiedMs: 1_700_000_000_600 };
  const at = (modifiedMs: number) => compareStates(told, { ...told, modifiedMs });
  expect([at(1_700_000_000_000), at(1_700_000_000_600)]).toEqual(['same', 'same']);
  expect([at(1_700_000_001_000), at(1_700_000_002_000), at(1_699_999_999_000)]).toEqual(['unclear', 'other', 'other']);
  expect(compareStates({ ...told, modifiedMs: 1_000 }, { ...told, modifiedMs: 0 })).toBe('other');
  expect([compareStates(told, { ...told, etag: '"f"' }), compareStates(told, { ...told, size: 6 })]).toEqual(['other', 'other']);
});

test('what is missing, or makes no sense, is no state', () => {
  const said = { ETag: '"e"', Size: 5, LastModified: new Date(0) };
  expect(stateOf(said)).toEqual({ etag: '"e"', size: 5, modifiedMs: 0 });
  for (const broken of [
    { ETag: undefined },
    { ETag: '' },
    { ETag: 'e'.repeat(401) },
    { Size: undefined },
    { Size: -1 },
    { Size: 1.5 },
    { LastModified: undefined },
    { LastModified: new Date(Number.NaN) },
    { LastModified: new Date(-1) },
  ]) {
    expect(stateOf({ ...said, ...broken })).toBeUndefined();
  }
});

test('clients are told a tag without quotes, and a weak one stands in no precondition', () => {
  expect([bareTag('"e-2"'), bareTag('W/"e"'), bareTag('e')]).toEqual(['e-2', 'e', 'e']);
  expect([strongTag('"e"'), strongTag('W/"e"')]).toEqual(['"e"', undefined]);
});

test('every key comes back from its coding, with a space as "+" or as "%20"; what is no text is undefined', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (key) => {
      expect(decodeKey(encodeURIComponent(key))).toBe(key);
      expect(decodeKey(encodeURIComponent(key).replaceAll('%20', '+'))).toBe(key);
    }),
  );
  for (const key of ['%', '%f', '%FF', '%ED%A0%80']) expect(decodeKey(key)).toBeUndefined();
});

test('content keys are possible ones, lead back to their keys and have their order', () => {
  const keys = fc.string({ unit: 'grapheme', maxLength: 20 });
  fc.assert(
    fc.property(keys, keys, keys, (prefix, a, b) => {
      const space = new S3Keys('site', prefix);
      const [one, other] = [space.contentKey(prefix + a), space.contentKey(prefix + b)];
      if (one === undefined) {
        expect(keyProblem(`site/${a}`)).toBeDefined();
        return;
      }
      expect(keyProblem(one)).toBeUndefined();
      expect(space.bucketKey(one)).toBe(prefix + a);
      if (other === undefined) return;
      const order = (x: string, y: string): number => Buffer.compare(Buffer.from(x), Buffer.from(y));
      expect(order(one, other)).toBe(order(prefix + a, prefix + b));
    }),
  );
});

test('a prefix of content keys is one of the bucket exactly where it can be', () => {
  const space = new S3Keys('site', 'www/');
  expect(['', 's', 'site', 'site/'].map((prefix) => space.bucketPrefix(prefix))).toEqual(['www/', 'www/', 'www/', 'www/']);
  expect(space.bucketPrefix('site/img/')).toBe('www/img/');
  expect(['sites', 'x', 'sit/', 'siteX/'].map((prefix) => space.bucketPrefix(prefix))).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(space.contentKey('other/a')).toBeUndefined();
  expect(space.contentKey(`www/${'x'.repeat(KEY_MAX_BYTES)}`)).toBeUndefined();
});
