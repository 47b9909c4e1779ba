import { describe, expect, test } from 'vitest';
import { fieldsFor, isIgnored, type SourceRule } from './source-rules.ts';

const all = (): boolean => true;
const rule = (fields: SourceRule['fields'], matches: SourceRule['matches'] = all): SourceRule => ({ matches, fields, ignore: undefined });

describe('source rules', () => {
  test('without a rule, the extension says the content type, and nothing else is said', () => {
    expect(fieldsFor([], 'a/page.html')).toEqual({ contentType: 'text/html', meta: {}, regions: [], tags: [] });
    expect(fieldsFor([], 'a/html').contentType).toBe('application/octet-stream');
    expect(fieldsFor([], 'html').contentType).toBe('application/octet-stream');
  });

  test('every rule that matches applies, and a later one wins field by field', () => {
    const rules = [
      rule({ cacheControl: 'max-age=1', contentLanguage: 'en', tags: ['a', 'b'], meta: { x: '1', y: '1' } }),
      rule({ cacheControl: 'max-age=2' }, (path) => path.startsWith('b/')),
      rule({ tags: ['c'], meta: { x: '2' }, contentType: 'text/x' }, (path) => path.startsWith('a/')),
    ];
    expect(fieldsFor(rules, 'a/1.txt')).toEqual({
      ...{ contentType: 'text/x', meta: { x: '2' }, regions: [], tags: ['c'] },
      ...{ cacheControl: 'max-age=1', contentLanguage: 'en' },
    });
    expect(fieldsFor(rules, 'b/1.txt')).toMatchObject({ contentType: 'text/plain', cacheControl: 'max-age=2', tags: ['a', 'b'] });
  });

  test('an empty text or list takes back what an earlier rule said', () => {
    const fields = { contentType: 'text/x', cacheControl: 'max-age=1', regions: ['US'] };
    const rules = [rule(fields), rule({ contentType: '', cacheControl: '', regions: [] })];
    expect(fieldsFor(rules, 'a.txt')).toEqual({ contentType: 'text/plain', meta: {}, regions: [], tags: [] });
  });

  test('the last rule that says anything about it decides whether a path is content', () => {
    const ignoring = (ignore: boolean | undefined, path?: string): SourceRule => ({
      matches: (one) => path === undefined || one === path,
      fields: {},
      ignore,
    });
    expect(isIgnored([], 'a')).toBe(false);
    expect(isIgnored([ignoring(true), ignoring(undefined)], 'a')).toBe(true);
    expect(isIgnored([ignoring(true), ignoring(false, 'b')], 'a')).toBe(true);
    expect(isIgnored([ignoring(true), ignoring(false, 'b')], 'b')).toBe(false);
    expect(isIgnored([ignoring(false, 'b'), ignoring(true)], 'b')).toBe(true);
  });
});
