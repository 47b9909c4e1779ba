import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSites, SitesConfigError } from './sites-config.ts';

function problemsOf(text: string): readonly string[] {
  try {
    parseSites(text);
    return [];
  } catch (error) {
    if (error instanceof SitesConfigError) return error.problems;
    throw error;
  }
}

test('the example file is one that an edge takes', async () => {
  const sites = parseSites(await readFile(resolve(import.meta.dirname, '../../../deploy/sites.example.yaml'), 'utf8'));
  expect([...new Set([...sites.byHost.values()].map(({ name }) => name))]).toEqual(['www', 'app', 'assets', 'members']);
  expect(sites.fallback?.name).toBe('www');
  expect(sites.byHost.get('example.com')?.headers).toEqual([
    'X-Content-Type-Options',
    'nosniff',
    'Referrer-Policy',
    'strict-origin-when-cross-origin',
  ]);
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
    'sites[1].cors.origins',
    'sites[1].cors.maxAgeSeconds',
    'sites[1].signedUrls.keys.k1: must be at least 32 bytes in base64',
    'Unrecognized key: "pathstyle"',
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
  ['', ['sites: Invalid input: expected array, received undefined']],
])('%j: %j', (text, problems) => {
  expect(problemsOf(text)).toEqual(problems);
});

test('what is no YAML is refused with the line', () => {
  expect(problemsOf('sites:\n  - name: [')[0]).toMatch(/line 2/);
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
