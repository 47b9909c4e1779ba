import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fieldsFor, isIgnored } from './domain/source-rules.ts';
import { parseSourceRules, RULES_MAX, SourceRulesConfigError } from './source-rules-config.ts';

const problemsOf = (text: string): readonly string[] => {
  try {
    parseSourceRules(text);
  } catch (error) {
    if (error instanceof SourceRulesConfigError) return error.problems;
    throw error;
  }
  return [];
};

describe('the source rules file', () => {
  test('the example is valid, and says what its words say', async () => {
    const rules = parseSourceRules(await readFile(join(import.meta.dirname, '../../../deploy/source-rules.example.yaml'), 'utf8'));
    expect(fieldsFor(rules, 'index.html')).toMatchObject({ contentType: 'text/html', cacheControl: 'max-age=60', tags: ['site'] });
    expect(fieldsFor(rules, 'assets/js/app.js').cacheControl).toBe('max-age=31536000, immutable');
    expect(fieldsFor(rules, 'films/1/a.mp4')).toMatchObject({ regions: ['US', 'IN'], tags: ['site', 'films'] });
    expect(fieldsFor(rules, 'films/1/a.txt')).toMatchObject({ regions: [], tags: ['site'] });
    expect(fieldsFor(rules, 'a/logo.svgz')).toMatchObject({ contentType: 'image/svg+xml', contentEncoding: 'gzip' });
    expect(fieldsFor(rules, 'downloads/a.zip')).toMatchObject({ contentDisposition: 'attachment', meta: { channel: 'stable' } });
    expect(fieldsFor(rules, 'old/index.html').redirectLocation).toBe('/new/');
    expect(['drafts', 'drafts/a', 'a/b.psd', 'index.html'].filter((path) => isIgnored(rules, path))).toEqual([
      'drafts',
      'drafts/a',
      'a/b.psd',
    ]);
  });

  test('without one, hidden, temporary and half-loaded names are no content, and others are', () => {
    const rules = parseSourceRules('');
    const ignored = [
      '.git',
      'a/.htpasswd',
      'a/.b.html.X3dkf9',
      '.a.swp',
      'a~',
      'a/b.part',
      'b.crdownload',
      'c.filepart',
      'd.partial',
      'e.tmp',
      'f.temp',
      'lost+found',
    ];
    const kept = [
      'a',
      '.well-known',
      'a/.well-known',
      '.well-known/acme/x',
      'a/lost+found',
      'part',
      'apart',
      'a.parts',
      '~a',
      'a.html',
      '日本',
    ];
    expect([...ignored, ...kept].filter((path) => isIgnored(rules, path))).toEqual(ignored);
    const own = parseSourceRules('rules: [{ path: ["**/*.part", "**/.nojekyll"], ignore: false }]');
    expect(['a/b.part', '.nojekyll', '.git'].filter((path) => isIgnored(own, path))).toEqual(['.git']);
  });

  test.each([
    ['*.html', ['a.html', '.html'], ['a/b.html']],
    ['**/*.html', ['a.html', 'a/b.html', 'a/b/c.html'], ['a.htm']],
    ['img/**', ['img', 'img/a', 'img/a/b', 'img/.a'], ['images/a', 'a/img/b']],
    ['{a,b}/*.{x,y}', ['a/1.x', 'b/2.y'], ['c/1.x']],
    ['a+b (1)', ['a+b (1)'], ['aab (1)']],
    ['v[0-9]/?', ['v1/a', 'v1/é'], ['vx/a', 'v1/ab']],
  ])('the pattern %s', (path, matched, others) => {
    const [rule] = parseSourceRules(`rules: [{ path: ${JSON.stringify(path)}, ignore: true }]`).slice(-1);
    expect([...matched, ...others].filter((one) => rule?.matches(one))).toEqual(matched);
  });

  test('tells every problem at once, with its place and what to do', () => {
    const text = `
rules:
  - path: /abs/**
    cacheControl: max-age=1
  - path: ['!a', 'b/', 'c[']
    regions: ['not a region', US]
    contentTyp: text/html
  - path: 'lonely'
  - path: 7
    ignore: 'yes'
  - path: 'r'
    redirectLocation: elsewhere
    meta: { 'Upper': 'x' }
  - cacheControl: "a\\nb"
more: 1
`;
    expect(problemsOf(text)).toEqual([
      'rules[0].path: must be relative to the directory: leave out what comes before the first name',
      'rules[1].path[0]: cannot be a negation; add a later rule that says otherwise',
      'rules[1].path[1]: must not end with "/"; a directory and all in it is `name/**`',
      expect.stringMatching(/^rules\[1\]\.path\[2\]: is no pattern: /),
      'rules[1].regions[0]: must be 1 to 32 characters of A-Z, 0-9, "_" and "-"',
      'rules[1]: has settings that do not exist: contentTyp',
      'rules[2]: says nothing about what it matches; give it a field, or `ignore: true`',
      'rules[3].path: must be a pattern or a list of patterns',
      'rules[3].ignore: must be true or false',
      'rules[4].redirectLocation: must begin with "/", "http://" or "https://"',
      'rules[4].meta.Upper: must be a lower-case HTTP token of at most 128 characters',
      'rules[5].path: must be a pattern or a list of patterns',
      'rules[5].cacheControl: must be at most 1024 characters that may stand in an HTTP field',
      'the file: has settings that do not exist: more',
    ]);
  });

  test('is bounded, and no YAML that is none passes', () => {
    const rules = (count: number): string => `rules: [${Array.from({ length: count }, () => '{path: a, tags: [b]}').join(',')}]`;
    expect(problemsOf(rules(RULES_MAX))).toEqual([]);
    expect(problemsOf(rules(RULES_MAX + 1))).toEqual(['rules: must have at most 1000 rules']);
    expect(problemsOf('rules: [')).toHaveLength(1);
    expect(problemsOf('- a')).toHaveLength(1);
    expect(problemsOf('rules: [{path: a, meta: {__proto__: x}}]')).toEqual(['rules[0].meta: must not have an entry named __proto__']);
    expect(problemsOf(`rules: [{path: a, tags: [${Array.from({ length: 65 }, (_, at) => `t${at}`).join(',')}]}]`)).toEqual([
      'rules[0].tags: must name at most 64',
    ]);
  });
});
