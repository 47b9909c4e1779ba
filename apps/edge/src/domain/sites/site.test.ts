import type { Fields } from '@sluice/http-semantics';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { corsAnswer, isPreflight, preflightAnswer } from './cors.ts';
import {
  type Cors,
  directoryKeyOf,
  documentsFor,
  keyOfPath,
  locationOfPath,
  PATH_STYLE_ONLY,
  routeHost,
  type Site,
  type Sites,
  sitesOf,
} from './site.ts';

function siteOf(fields: Partial<Site> = {}): Site {
  const nothing = { index: undefined, notFound: undefined, singlePage: undefined, cors: undefined, signingKeys: undefined };
  const tls = { secureHeaders: [], tls: undefined, httpsRedirect: undefined };
  return { name: 'www', hosts: [], bucket: 'site', prefix: '', headers: [], ...tls, ...nothing, ...fields };
}

describe('a host name', () => {
  const www = siteOf({ name: 'www', hosts: ['www.example.com', 'example.com'] });
  const any = siteOf({ name: 'any', hosts: ['*.example.com'] });
  const app = siteOf({ name: 'app', hosts: ['*.app.example.com'] });
  const sites = sitesOf([any, www, app], undefined, false);
  const routed = (host: string | undefined, more: Partial<Sites> = {}) => {
    const route = routeHost({ ...sites, ...more }, host);
    return route.kind === 'site' ? route.site.name : route.kind;
  };

  test.each([
    ['www.example.com', 'www'],
    ['WWW.Example.COM:8080', 'www'],
    ['example.com.', 'www'],
    ['blog.example.com', 'any'],
    ['a.b.example.com', 'any'],
    ['x.app.example.com', 'app'],
    ['app.example.com', 'any'],
    ['.example.com', 'unknown'],
    ['badexample.com', 'unknown'],
    ['example.com.evil.org', 'unknown'],
    ['127.0.0.1:8080', 'unknown'],
    ['[::1]:8080', 'unknown'],
    ['', 'unknown'],
    [undefined, 'unknown'],
  ])('%s leads to %s', (host, expected) => {
    expect(routed(host)).toBe(expected);
  });

  test('no site has: the default site, else the buckets by their names where that is wanted, else nothing', () => {
    expect(routed('x.org', { fallback: www, pathStyle: true })).toBe('www');
    expect(routed('x.org', { pathStyle: true })).toBe('path-style');
    expect(routeHost(PATH_STYLE_ONLY, 'x.org').kind).toBe('path-style');
  });
});

describe('a path', () => {
  test.each([
    ['', 'site/index.html'],
    ['docs/', 'site/docs/index.html'],
    ['docs', 'site/docs'],
    ['a/b.css', 'site/a/b.css'],
  ])('%j is the key %s', (path, key) => {
    expect(keyOfPath(siteOf({ index: 'index.html' }), path)).toBe(key);
  });

  test('begins at the prefix, and no path leads out of the bucket', () => {
    const site = siteOf({ index: 'index.html', prefix: 'v2/' });
    expect(keyOfPath(site, '')).toBe('site/v2/index.html');
    fc.assert(
      fc.property(fc.string(), (path) => {
        expect(keyOfPath(site, path).startsWith('site/v2/')).toBe(true);
      }),
    );
  });

  test.each<[Partial<Site>, string, string | undefined]>([
    [{ index: 'index.html' }, 'docs', 'site/docs/index.html'],
    [{ index: 'index.html' }, 'docs/', undefined],
    [{ index: 'index.html' }, '', undefined],
    [{}, 'docs', undefined],
  ])('of a site %j: %j may be the directory of %s', (fields, path, key) => {
    expect(directoryKeyOf(siteOf(fields), path)).toBe(key);
  });

  test('as a Location leads nowhere else, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }).filter((path) => path.isWellFormed()),
        (path) => {
          const base = new URL('http://www.example.com/some/where');
          expect(new URL(locationOfPath(path), base).host).toBe('www.example.com');
        },
      ),
    );
    for (const path of ['/evil.org/', '//evil.org/', 'http://evil.org/', '\\\\evil.org/', 'docs/a:b/']) {
      expect(new URL(locationOfPath(path), 'http://www.example.com/').host).toBe('www.example.com');
    }
    expect(locationOfPath('docs/ü b/')).toBe('/docs/%C3%BC%20b/');
  });

  const shown = (fields: Partial<Site>, path: string, accept?: string) =>
    documentsFor(siteOf(fields), path, accept).map(({ key, status }) => `${status} ${key}`);

  test.each<[string, Partial<Site>, string, string | undefined, string[]]>([
    [
      'the single page, else "not found"',
      { singlePage: 'app.html', notFound: '404.html' },
      'users/7',
      '*/*',
      ['200 site/app.html', '404 site/404.html'],
    ],
    ['a missing script is not a page', { singlePage: 'app.html', notFound: '404.html' }, 'app.js', '*/*', ['404 site/404.html']],
    ['a page with a dot that a browser navigates to is', { singlePage: 'app.html' }, 'a.b', 'text/html,*/*;q=0.8', ['200 site/app.html']],
    ['HTML with parameters is HTML', { singlePage: 'app.html' }, 'a.b', 'a/b, text/html;level=1;q=0.5', ['200 site/app.html']],
    ['HTML that is refused is not wanted', { singlePage: 'app.html' }, 'a.b', 'text/html;q=0, */*', []],
    ['another type that begins so is not HTML', { singlePage: 'app.html' }, 'a.b', 'text/html-sandboxed', []],
    ['begins at the prefix too', { notFound: '404.html', prefix: 'v2/' }, 'x', undefined, ['404 site/v2/404.html']],
    ['nothing', {}, 'x', 'text/html', []],
  ])('that is not there: %s', (_law, fields, path, accept, expected) => {
    expect(shown(fields, path, accept)).toEqual(expected);
  });
});

describe('cross-origin requests (Fetch standard)', () => {
  const cors: Cors = { origins: ['https://a.org'], headers: ['x-token'], exposedHeaders: ['etag'], credentials: false, maxAgeSeconds: 60 };
  const from = (origin: string): Fields => ({ origin });

  test.each<[string, Cors | undefined, Fields, object]>([
    ['no configuration', undefined, from('https://a.org'), { fields: [], vary: [] }],
    [
      'an allowed origin',
      cors,
      from('https://a.org'),
      { fields: ['Access-Control-Allow-Origin', 'https://a.org', 'Access-Control-Expose-Headers', 'etag'], vary: ['Origin'] },
    ],
    ['another origin', cors, from('https://b.org'), { fields: [], vary: ['Origin'] }],
    ['an origin that only begins so', cors, from('https://a.org.evil.org'), { fields: [], vary: ['Origin'] }],
    ['no origin', cors, {}, { fields: [], vary: ['Origin'] }],
    ['all origins', { ...cors, origins: '*', exposedHeaders: [] }, {}, { fields: ['Access-Control-Allow-Origin', '*'], vary: [] }],
    [
      'all origins with credentials: the origin is named',
      { ...cors, origins: '*', exposedHeaders: [], credentials: true },
      from('https://b.org'),
      { fields: ['Access-Control-Allow-Origin', 'https://b.org', 'Access-Control-Allow-Credentials', 'true'], vary: ['Origin'] },
    ],
  ])('%s', (_law, configured, request, expected) => {
    expect(corsAnswer(configured, request)).toEqual(expected);
  });

  test('a preflight is told what may be read, and one from elsewhere nothing', () => {
    const preflight = { origin: 'https://a.org', 'access-control-request-method': 'GET' };
    expect(isPreflight('OPTIONS', preflight)).toBe(true);
    expect([isPreflight('GET', preflight), isPreflight('OPTIONS', from('https://a.org'))]).toEqual([false, false]);
    expect(preflightAnswer(cors, preflight).fields).toEqual([
      ...['Access-Control-Allow-Origin', 'https://a.org', 'Access-Control-Expose-Headers', 'etag'],
      ...['Access-Control-Allow-Methods', 'GET, HEAD', 'Access-Control-Max-Age', '60', 'Access-Control-Allow-Headers', 'x-token'],
    ]);
    expect(preflightAnswer(cors, { ...preflight, origin: 'https://b.org' })).toEqual({ fields: [], vary: ['Origin'] });
  });
});
