import type { Fields } from '@sluice/http-semantics';
import { describe, expect, test } from 'vitest';
import { cacheStatus } from './cache-status.ts';
import { manifestOf } from './history.fixture.ts';
import { parseTarget } from './request-target.ts';
import { entityTag, planResponse, type ResponsePlan } from './response.ts';

const manifest = manifestOf('site/a', 10, { size: 1000, cacheControl: 'max-age=60', contentLanguage: 'en', meta: { owner: 'me' } });
const tag = entityTag(manifest);
const plan = (fields: Fields, method: 'GET' | 'HEAD' = 'GET') => planResponse(manifest, { method, fields }, ['Age', '0'], () => 'B');
const allFields = ({ constant, fields }: ResponsePlan) => [...constant, ...fields];
const fieldsOf = (response: ResponsePlan) =>
  Object.fromEntries(allFields(response).flatMap((name, at, fields) => (at % 2 === 0 ? [[name, fields[at + 1]]] : [])));
const lastModified = new Date(manifest.uploadedAt).toUTCString();

describe('response', () => {
  test.each<[string, Fields, number]>([
    ['no condition', {}, 200],
    ['If-None-Match with the tag', { 'if-none-match': tag }, 304],
    ['If-Modified-Since the same second', { 'if-modified-since': lastModified }, 304],
    ['If-Match with another tag comes before If-None-Match (RFC 9110 §13.2.2)', { 'if-match': '"x"', 'if-none-match': tag }, 412],
    ['Range', { range: 'bytes=0-99' }, 206],
    ['Range beyond the end', { range: 'bytes=1000-' }, 416],
    ['Range malformed', { range: 'bytes=abc' }, 200],
    ['several ranges', { range: 'bytes=0-1,500-600' }, 206],
    ['If-Range with the tag', { range: 'bytes=0-99', 'if-range': tag }, 206],
    ['If-Range with another', { range: 'bytes=0-99', 'if-range': '"x"' }, 200],
    ['If-Range with another and a Range beyond the end', { range: 'bytes=1000-', 'if-range': '"x"' }, 200],
    ['a copy that is current needs no range (§13.2.2)', { range: 'bytes=0-99', 'if-none-match': tag }, 304],
    ['a copy that is current needs no refused range', { range: 'bytes=1000-', 'if-none-match': tag }, 304],
  ])('%s → %s', (_name, request, status) => {
    expect(plan(request).status).toBe(status);
  });

  test('the whole has every field of the representation, and its digest (RFC 9530)', () => {
    const response = plan({});
    expect(fieldsOf(response)).toEqual({
      ETag: tag,
      'Last-Modified': lastModified,
      'Cache-Control': 'max-age=60',
      Age: '0',
      'X-Sluice-Version': '10',
      'Accept-Ranges': 'bytes',
      'Repr-Digest': `sha-256=:${Buffer.from(manifest.sha256, 'hex').toString('base64')}:`,
      'Content-Language': 'en',
      'x-amz-meta-owner': 'me',
      'Content-Type': manifest.contentType,
      'Content-Length': '1000',
    });
    expect(response.body).toEqual([{ start: 0, end: 999 }]);
  });

  test('HEAD has the fields of GET, no body, and knows no ranges (RFC 9110 §9.3.2, §14.2)', () => {
    expect(plan({}, 'HEAD')).toEqual({ ...plan({}), body: [] });
    expect(plan({ range: 'bytes=0-99' }, 'HEAD')).toEqual({ ...plan({}), body: [] });
    expect(plan({ 'if-none-match': tag }, 'HEAD')).toEqual(plan({ 'if-none-match': tag }));
  });

  test('a range has the digest of the whole, and says which part it is', () => {
    const response = plan({ range: 'bytes=990-5000' });
    expect(fieldsOf(response)).toEqual({ ...fieldsOf(plan({})), 'Content-Range': 'bytes 990-999/1000', 'Content-Length': '10' });
    expect(response.body).toEqual([{ start: 990, end: 999 }]);
  });

  test('several ranges are a multipart body, each part with its type and place (RFC 9110 §15.3.7.2)', () => {
    const response = plan({ range: 'bytes=500-500,0-1' });
    const head = (range: string) => `--B\r\nContent-Type: ${manifest.contentType}\r\nContent-Range: bytes ${range}/1000\r\n\r\n`;
    expect(response.body).toEqual([head('500-500'), { start: 500, end: 500 }, `\r\n${head('0-1')}`, { start: 0, end: 1 }, '\r\n--B--\r\n']);
    const length = response.body.reduce((sum, piece) => sum + (typeof piece === 'string' ? piece.length : piece.end - piece.start + 1), 0);
    expect(fieldsOf(response)).toEqual({
      ...fieldsOf(plan({})),
      'Content-Type': 'multipart/byteranges; boundary=B',
      'Content-Length': String(length),
    });
  });

  test('several ranges of an object with a content coding of its own are answered with the whole: clients would decode the wrong thing', () => {
    const encoded = { ...manifest, contentEncoding: 'gzip' };
    const planned = (range: string) => planResponse(encoded, { method: 'GET', fields: { range } }, [], () => 'B').status;
    expect([planned('bytes=0-1,500-600'), planned('bytes=0-1')]).toEqual([200, 206]);
  });

  test('a refused range says how long the whole is, and has no digest of what it does not send', () => {
    const response = plan({ range: 'bytes=1000-' });
    expect(fieldsOf(response)).toMatchObject({ ETag: tag, 'Content-Range': 'bytes */1000', 'Content-Length': '0' });
    expect(response.body).toEqual([]);
  });

  test('a 304 carries what RFC 9110 §15.4.5 asks for, and nothing else of the representation', () => {
    const response = plan({ 'if-none-match': tag });
    expect(response.body).toEqual([]);
    expect(fieldsOf(response)).toEqual({ ETag: tag, 'X-Sluice-Version': '10', 'Cache-Control': 'max-age=60', Age: '0' });
  });

  test('an empty object has no body and length 0, and none of its ranges can be satisfied', () => {
    const empty = manifestOf('site/a', 1, { size: 0 });
    const planned = (fields: Fields) => planResponse(empty, { method: 'GET', fields }, [], () => 'B');
    expect(planned({})).toMatchObject({ status: 200, body: [] });
    expect(planned({ range: 'bytes=0-' }).status).toBe(416);
  });
});

describe('request target', () => {
  test.each([
    ['/site/app.js', 'site/app.js', '', undefined],
    ['/site/app.js?v=1#x', 'site/app.js', '?v=1', undefined],
    ['/site/app.js#x?v=1', 'site/app.js', '', undefined],
    ['/site/a%20b+c%2Bd', 'site/a b+c+d', '', undefined],
    ['/site/%C3%BC', 'site/ü', '', undefined],
    ['/site/a%252F', 'site/a%2F', '', undefined],
    ['/', '', '', undefined],
    ['http://example.com/site/app.js', 'site/app.js', '', 'example.com'],
    ['HTTPS://Example.com:8443/a?b', 'a', '?b', 'Example.com:8443'],
    ['http://example.com', '', '', 'example.com'],
    ['http://example.com?q', '', '?q', 'example.com'],
    ['//example.com/a', '/example.com/a', '', undefined],
  ])('%s is the path %s', (target, path, query, authority) => {
    expect(parseTarget(target)).toEqual({ kind: 'path', path, query, authority });
  });
  test.each(['*', 'site/a', '', 'example.com:443', '/site/%zz', '/site/%ff', '/site/%'])('%s is refused', (target) => {
    expect(parseTarget(target).kind).toBe('invalid');
  });
});

describe('Cache-Status (RFC 9211)', () => {
  test.each([
    ['us-1', { hit: true }, 'us-1;hit'],
    ['us-1', { hit: true, ttlSeconds: -7.5 }, 'us-1;hit;ttl=-8'],
    ['0c1', { hit: true, ttlSeconds: 5 }, '"0c1";hit;ttl=5'],
    ['us-1', { fwd: 'stale', fwdStatus: 304, collapsed: true } as const, 'us-1;fwd=stale;fwd-status=304;collapsed'],
    ['us-1', { fwd: 'uri-miss', fwdStatus: 200, stored: true } as const, 'us-1;fwd=uri-miss;fwd-status=200;stored'],
    ['0c1', { hit: true, detail: 'negative' }, '"0c1";hit;detail=negative'],
  ])('%s %j → %s', (name, handling, expected) => {
    expect(cacheStatus(name, handling)).toBe(expected);
  });
});
