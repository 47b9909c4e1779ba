import { describe, expect, test } from 'vitest';
import { cacheStatus } from './cache-status.ts';
import { manifestOf } from './history.fixture.ts';
import { parseTarget } from './request-target.ts';
import { entityTag, lastModified, planResponse, type RequestFields } from './response.ts';

const manifest = manifestOf('site/a', 10, { size: 1000, cacheControl: 'max-age=60', contentEncoding: 'gzip', meta: { owner: 'me' } });
const tag = entityTag(manifest);
const plan = (request: RequestFields) => planResponse(manifest, request, ['Age', '0']);
const fieldOf = (fields: string[], name: string) => fields[fields.indexOf(name) + 1];
const LATER = 'Fri, 02 Jan 2026 03:04:06 GMT';
const EARLIER = 'Fri, 02 Jan 2026 03:04:04 GMT';

describe('response', () => {
  test.each<[string, RequestFields, number]>([
    ['no condition', {}, 200],
    ['If-None-Match with the tag (RFC 9110 §13.1.2)', { 'if-none-match': tag }, 304],
    ['If-None-Match with the weak tag: weak comparison', { 'if-none-match': `W/${tag}` }, 304],
    ['If-None-Match in a list', { 'if-none-match': `"x", ${tag}` }, 304],
    ['If-None-Match *', { 'if-none-match': '*' }, 304],
    ['If-None-Match with another tag', { 'if-none-match': '"x"' }, 200],
    ['If-None-Match wins over If-Modified-Since (§13.2.2)', { 'if-none-match': '"x"', 'if-modified-since': LATER }, 200],
    ['If-Modified-Since the same second', { 'if-modified-since': lastModified(manifest) }, 304],
    ['If-Modified-Since earlier', { 'if-modified-since': EARLIER }, 200],
    ['If-Modified-Since nonsense', { 'if-modified-since': 'nonsense' }, 200],
    ['If-Match with the tag', { 'if-match': tag }, 200],
    ['If-Match with the weak tag: strong comparison (§13.1.1)', { 'if-match': `W/${tag}` }, 412],
    ['If-Match *', { 'if-match': '*' }, 200],
    ['If-Match with another tag comes before If-None-Match', { 'if-match': '"x"', 'if-none-match': tag }, 412],
    ['If-Unmodified-Since earlier', { 'if-unmodified-since': EARLIER }, 412],
    ['If-Unmodified-Since the same second', { 'if-unmodified-since': lastModified(manifest) }, 200],
    ['If-Unmodified-Since nonsense is ignored', { 'if-unmodified-since': 'nonsense' }, 200],
    ['Range first bytes (§14.2)', { range: 'bytes=0-99' }, 206],
    ['Range beyond the end', { range: 'bytes=1000-' }, 416],
    ['Range malformed is ignored', { range: 'bytes=abc' }, 200],
    ['Range in another unit is ignored', { range: 'lines=0-1' }, 200],
    ['several ranges are answered whole', { range: 'bytes=0-1,5-6' }, 200],
    ['If-Range with the tag', { range: 'bytes=0-99', 'if-range': tag }, 206],
    ['If-Range with a weak tag sends all (§13.1.5)', { range: 'bytes=0-99', 'if-range': `W/${tag}` }, 200],
    ['If-Range with the date', { range: 'bytes=0-99', 'if-range': lastModified(manifest) }, 206],
    ['If-Range with another date sends all', { range: 'bytes=0-99', 'if-range': EARLIER }, 200],
    ['a fresh copy needs no range', { range: 'bytes=0-99', 'if-none-match': tag }, 304],
  ])('%s → %s', (_name, request, status) => {
    expect(plan(request).status).toBe(status);
  });

  test.each([
    ['bytes=0-99', 'bytes 0-99/1000', { start: 0, end: 99 }],
    ['bytes=-100', 'bytes 900-999/1000', { start: 900, end: 999 }],
    ['bytes=990-', 'bytes 990-999/1000', { start: 990, end: 999 }],
    ['bytes=990-5000', 'bytes 990-999/1000', { start: 990, end: 999 }],
  ])('%s selects %s', (range, contentRange, body) => {
    const response = plan({ range });
    expect(fieldOf(response.fields, 'Content-Range')).toBe(contentRange);
    expect(response.body).toEqual(body);
    expect(fieldOf(response.fields, 'Content-Length')).toBe(String(body.end - body.start + 1));
  });

  test('a 304 carries the validators and caching fields, and no representation field (RFC 9110 §15.4.5)', () => {
    const { fields, body } = plan({ 'if-none-match': tag });
    expect(body).toBeUndefined();
    expect([fieldOf(fields, 'ETag'), fieldOf(fields, 'Cache-Control')]).toEqual([tag, 'max-age=60']);
    expect(fields).not.toContain('Content-Length');
    expect(fields).not.toContain('Content-Encoding');
  });

  test('an empty object has no body and length 0, and none of its ranges can be satisfied', () => {
    const empty = manifestOf('site/a', 1, { size: 0 });
    expect(planResponse(empty, {}, [])).toMatchObject({ status: 200, body: undefined });
    expect(planResponse(empty, { range: 'bytes=0-' }, []).status).toBe(416);
  });
});

describe('request target', () => {
  test.each([
    ['/site/app.js', 'site/app.js'],
    ['/site/app.js?v=1#x', 'site/app.js'],
    ['/site/a%20b+c%2Bd', 'site/a b+c+d'],
    ['/site/%C3%BC', 'site/ü'],
    ['/site/a%252F', 'site/a%2F'],
    ['http://example.com/site/app.js', 'site/app.js'],
  ])('%s names %s', (target, key) => {
    expect(parseTarget(target)).toEqual({ kind: 'key', key });
  });
  test.each([
    '/',
    '/site',
    '/site/',
    '*',
    'site/a',
    '/site/../etc',
    '/site/%2e%2e/etc',
    '/site/%zz',
    '/site/%ff',
    '/site/%00',
    '/UPPER/x',
    `/site/${'x'.repeat(1100)}`,
  ])('%s is refused', (target) => {
    expect(parseTarget(target).kind).toBe('invalid');
  });
});

describe('Cache-Status (RFC 9211)', () => {
  test.each([
    ['us-1', { hit: true }, 'us-1;hit'],
    ['us-1', { fwd: 'stale', fwdStatus: 304, collapsed: true } as const, 'us-1;fwd=stale;fwd-status=304;collapsed'],
    ['us-1', { fwd: 'uri-miss', fwdStatus: 200, stored: true } as const, 'us-1;fwd=uri-miss;fwd-status=200;stored'],
    ['0c1', { hit: true, detail: 'negative' }, '"0c1";hit;detail=negative'],
  ])('%s %j → %s', (name, handling, expected) => {
    expect(cacheStatus(name, handling)).toBe(expected);
  });
});
