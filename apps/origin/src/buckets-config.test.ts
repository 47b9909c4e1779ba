import { describe, expect, test } from 'vitest';
import { BucketsConfigError, parseBuckets } from './buckets-config.ts';
import { settingsOf, withDefaults } from './domain/bucket-settings.ts';

const FILE = `
others:
  versionsKept: 3
  cacheControl: max-age=60
buckets:
  site:
    versionsKept: 10
    regions: [US, IN, US]
    cdnCacheControl: max-age=3600
  logs: {}
`;

describe('the buckets file', () => {
  test('what a bucket does not say is as for the others, and what nobody says is as it was', () => {
    const settings = parseBuckets(FILE, 2);
    expect(settingsOf(settings, 'site/a')).toEqual({
      versionsKept: 10,
      uploads: { cacheControl: 'max-age=60', regions: ['US', 'IN'], cdnCacheControl: 'max-age=3600' },
    });
    for (const key of ['logs/a', 'else/a'])
      expect(settingsOf(settings, key)).toEqual({ versionsKept: 3, uploads: { cacheControl: 'max-age=60' } });
    expect(settingsOf(parseBuckets('', 2), 'site/a')).toEqual({ versionsKept: 2, uploads: {} });
  });

  test('every problem is named at once, with its place', () => {
    const broken = 'others: { versionsKept: 0 }\nbuckets: { Site: {}, a: { regions: ["u s"], color: red }, b: { cacheControl: "a\\nb" } }';
    const problems = (() => {
      try {
        parseBuckets(broken, 2);
      } catch (error) {
        return (error as BucketsConfigError).problems.join('\n');
      }
      return '';
    })();
    for (const named of [
      'others.versionsKept: must be at least 1',
      'buckets.Site: must be the name of a bucket',
      'buckets.a.regions[0]:',
      'buckets.a: has settings that do not exist: color',
      'buckets.b.cacheControl:',
    ]) {
      expect(problems).toContain(named);
    }
    expect(() => parseBuckets('buckets: [', 2)).toThrow(BucketsConfigError);
    expect(() => parseBuckets('- a', 2)).toThrow(BucketsConfigError);
  });

  test('what an upload says itself comes before what its bucket says', () => {
    const fields = { contentType: 'text/plain', meta: {}, regions: [], tags: ['own'], cacheControl: 'no-store' };
    const defaults = { regions: ['US'], tags: ['bucket'], cacheControl: 'max-age=60', cdnCacheControl: 'max-age=5' };
    expect(withDefaults(fields, defaults)).toEqual({ ...fields, regions: ['US'], cdnCacheControl: 'max-age=5' });
  });
});
