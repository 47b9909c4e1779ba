import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSites, SitesConfigError, type TlsOffer } from './sites-config.ts';
import { sitesExample, sitesExampleWithHttps } from './sites-example.fixture.ts';

function problemsOf(text: string, offer?: TlsOffer): readonly string[] {
  try {
    parseSites(text, offer);
    return [];
  } catch (error) {
    if (error instanceof SitesConfigError) return error.problems;
    throw error;
  }
}

const TLS = { port: true, certificate: true };

test('the example file is one that an edge takes', async () => {
  const sites = parseSites(await sitesExample());
  expect([...new Set([...sites.byHost.values()].map(({ name }) => name))]).toEqual(['www', 'app', 'assets', 'members']);
  expect(sites.fallback?.name).toBe('www');
  expect(sites.byHost.get('example.com')?.headers).toEqual([
    'X-Content-Type-Options',
    'nosniff',
    'Referrer-Policy',
    'strict-origin-when-cross-origin',
  ]);
});

test('so is the example file with its settings for HTTPS switched on, by an edge that speaks TLS', async () => {
  const text = await sitesExampleWithHttps();
  const www = parseSites(text, TLS).byHost.get('www.example.com');
  expect(www?.tls).toEqual({ certificate: 'certificates/www.example.com.crt', key: 'certificates/www.example.com.key' });
  expect(www?.httpsRedirect).toEqual({ port: 443 });
  expect(www?.secureHeaders.slice(-2)).toEqual(['Strict-Transport-Security', 'max-age=31536000; includeSubDomains']);
  expect(www?.headers).not.toContain('Strict-Transport-Security');
  expect(problemsOf(text)).toEqual([
    'sites[0].tls: needs a port for TLS: set EDGE_TLS_PORT',
    'sites[0].httpsRedirect: needs a port for TLS: set EDGE_TLS_PORT',
    'sites[0].hsts: needs a port for TLS: set EDGE_TLS_PORT',
  ]);
});

const NO_CERTIFICATE = 'needs a certificate: tls of this site, or EDGE_TLS_CERT_FILE and EDGE_TLS_KEY_FILE';
test.each([
  ['httpsRedirect: true', { port: true, certificate: false }, [`sites[0].httpsRedirect: ${NO_CERTIFICATE}`]],
  ['hsts: { maxAgeSeconds: 1 }', { port: true, certificate: false }, [`sites[0].hsts: ${NO_CERTIFICATE}`]],
  ['hsts: { maxAgeSeconds: 1 }, tls: { certificate: a, key: b }', { port: true, certificate: false }, []],
  ['httpsPort: 443', TLS, ['sites[0].httpsPort: is used by httpsRedirect: true alone']],
  ['hsts: { maxAgeSeconds: 1, preload: true }', TLS, [expect.stringMatching(/^sites\[0\]\.hsts: preload needs includeSubDomains: true/)]],
  ['hsts: { maxAgeSeconds: 1, includeSubDomains: true, preload: true }', TLS, [expect.stringContaining('at least 31536000')]],
  ['hsts: { includeSubDomains: true }', TLS, [expect.stringMatching(/^sites\[0\]\.hsts\.maxAgeSeconds/)]],
  [
    'hsts: { maxAgeSeconds: 1 }, headers: { strict-transport-security: max-age=2 }',
    TLS,
    ['sites[0].headers.Strict-Transport-Security: is set by hsts'],
  ],
  ['tls: { certificate: a }', TLS, [expect.stringMatching(/^sites\[0\]\.tls\.key/)]],
  [
    'headers: { TE: x, Proxy-Connection: y, HTTP2-Settings: z }',
    TLS,
    Array(3).fill(expect.stringMatching(/is a field that the edge sets itself$/)),
  ],
])('a site with %s, where the edge offers %j: %j', (settings, offer, problems) => {
  expect(problemsOf(`sites: [{ name: a, bucket: b, ${settings} }]`, offer)).toEqual(problems);
});

test('a file with many problems is refused with all of them, each by its place', () => {
  const text = `
default: nowhere
pathstyle: true
sites:
  - name: a
    hosts: [https://a.org, A.org]
    bucket: Site
    index: /index.html
    prefix: docs
    headers: { ETag: x, "a b": y, X-Ok: "line\\nbreak" }
  - name: b
    hosts: [a.org]
    bucket: site
    index: x/
    cors: { origins: [a.org], maxAgeSeconds: -1 }
    signedUrls: { keys: { k1: c2hvcnQ=, k2: '' , k3: '' } }
`;
  const problems = problemsOf(text);
  for (const place of [
    'sites[0].hosts[0]: must be a host name',
    'sites[0].bucket: must be the name of a bucket',
    'sites[0].index: must be a path',
    'sites[0].prefix: must be empty or a path',
    'sites[0].headers.ETag: is a field that the edge sets itself',
    'sites[0].headers.a b: must be the name of a header field',
    'sites[0].headers.X-Ok: must be at most 1024 characters',
    'sites[1].index: must be a path without a slash at its beginning or end',
    'sites[1].cors.origins',
    'sites[1].cors.maxAgeSeconds',
    'sites[1].signedUrls.keys.k1: must be at least 32 bytes in base64',
    'has settings that do not exist: pathstyle',
  ]) {
    expect(problems.some((problem) => problem.startsWith(place))).toBe(true);
  }
});

test.each([
  [
    'sites: [{ name: a, hosts: [a.org], bucket: b }, { name: c, hosts: [A.org], bucket: b }]',
    ['sites[1].hosts[0]: "a.org" is there twice'],
  ],
  ['sites: [{ name: a, bucket: b }, { name: a, bucket: b }]', ['sites[1].name: "a" is there twice']],
  [
    'pathStyle: true\nsites: [{ name: a, bucket: b, signedUrls: { keys: { k: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= } } }]',
    ['pathStyle: would show the private content of the site "a" without a link'],
  ],
  [
    'sites: [{ name: a, bucket: b, prefix: x/, signedUrls: { keys: { k: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= } } }, { name: c, bucket: b }, { name: d, bucket: b, prefix: y/ }]',
    ['sites[1].bucket: would show the private content of the site "a" without a link'],
  ],
  [
    'sites: [{ name: a, bucket: b, headers: { X-A: x, x-a: y, Access-Control-Allow-Origin: z }, cors: { origins: "*" } }]',
    ['sites[0].headers.x-a: is there twice', 'sites[0].headers.access-control-allow-origin: is set by cors'],
  ],
  ['default: x\nsites: []', ['default: there is no site "x"']],
  ['sites: [{ name: a, bucket: B_ }]', ['sites[0].bucket: must be the name of a bucket']],
  ['', ['sites: Invalid input: expected array, received undefined']],
])('%j: %j', (text, problems) => {
  expect(problemsOf(text)).toEqual(problems);
});

test('what is no YAML is refused with the line', () => {
  expect(problemsOf('sites:\n  - name: [')[0]).toMatch(/line 2/);
});

test.each([
  ['behind a bracket too many', '}signedUrls: { keys: { k1: SECRET } }'],
  ['without the colon before it', 'signedUrls: { keys: { k1 SECRET } }'],
  ['as the name of a key', 'signedUrls: { keys: { SECRET: k1 } }'],
  ['as a setting', 'SECRET: k1'],
  ['as an alias', 'signedUrls: { keys: { k1: *SECRET } }'],
])('a secret that stands wrongly, %s, is not quoted', (_where, settings) => {
  const secret = Buffer.alloc(32, 'secret').toString('base64');
  const problems = problemsOf(`sites:\n  - name: www\n    bucket: site\n    ${settings.replace('SECRET', secret)}\n`);
  expect(problems).not.toEqual([]);
  expect(problems.join('\n')).not.toContain(secret.slice(0, 12));
});

test('whatever is in the file, it is taken or refused', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(Array.isArray(problemsOf(text))).toBe(true);
    }),
  );
  const bomb = `a: &a [x,x]\nb: &b [${'*a,'.repeat(50)}]\nc: &c [${'*b,'.repeat(50)}]\nsites: [${'*c,'.repeat(50)}]`;
  expect(problemsOf(bomb)).not.toEqual([]);
});

test('an origin is taken as browsers name it', () => {
  const sites = parseSites(
    'sites: [{ name: a, hosts: [a.org], bucket: b, cors: { origins: ["HTTPS://App.Example.com:443", "http://x:8080"] } }]',
  );
  expect(sites.byHost.get('a.org')?.cors?.origins).toEqual(['https://app.example.com', 'http://x:8080']);
});
