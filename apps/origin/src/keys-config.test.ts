import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { KEYS_MAX, KeysConfigError, parseKeys } from './keys-config.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const key = (id: string, rights: unknown = { '*': ['read'] }) => ({ accessKeyId: id, secretAccessKey: SECRET, rights });
const file = (...keys: unknown[]): string => JSON.stringify({ keys });

function problemsOf(text: string): string[] {
  try {
    parseKeys(text);
  } catch (error) {
    expect(error).toBeInstanceOf(KeysConfigError);
    expect((error as Error).message).not.toContain(SECRET);
    return [...(error as KeysConfigError).problems];
  }
  return expect.unreachable('it was accepted');
}

test('the example file is valid', async () => {
  const keys = parseKeys(await readFile(join(import.meta.dirname, '../../../deploy/keys.example.yaml'), 'utf8'));
  expect([...keys.keys()]).toEqual(['publisher', 'reader']);
});

test('JSON is YAML, and rights are by bucket', () => {
  const keys = parseKeys(file(key('abc', { '*': ['read'], site: ['write', 'delete'] })));
  expect(keys.get('abc')?.rights).toEqual(
    new Map([
      ['*', new Set(['read'])],
      ['site', new Set(['write', 'delete'])],
    ]),
  );
});

test('every problem is named at once, with its place and without a secret', () => {
  const text = file(
    { ...key('a'), secretAccessKey: 'short' },
    key('abc', { Site: ['read'], site: ['own'] }),
    { ...key('abc'), admin: SECRET },
    { ...key('no-rights', {}), secretAccessKey: `${SECRET} ${SECRET}` },
  );
  expect(problemsOf(text)).toEqual([
    expect.stringMatching(/^keys\[0\]\.accessKeyId: must be 3 to 128 characters/),
    expect.stringMatching(/^keys\[0\]\.secretAccessKey: must be 32 to 128 characters/),
    expect.stringMatching(/^keys\[1\]\.rights\.Site: must be the name of a bucket, or "\*"/),
    expect.stringMatching(/^keys\[1\]\.rights\.site\[0\]: must be one of read, write, delete, list, invalidate/),
    expect.stringMatching(/^keys\[2\]: has settings that do not exist/),
    expect.stringMatching(/^keys\[3\]\.secretAccessKey: must be/),
    expect.stringMatching(/^keys\[3\]\.rights: must name at least one bucket/),
  ]);
});

describe('what is refused', () => {
  test.each([
    ['', /keys: /],
    ['keys: []', /keys: must have at least one key/],
    [file(key('abc'), key('abc')), /^keys\[1\]\.accessKeyId: "abc" is there twice/],
    [`keys: [{ accessKeyId: abc, secretAccessKey: *${SECRET}, rights: { "*": [read] } }]`, /^must have no aliases/],
    [`keys: [&a { accessKeyId: abc, secretAccessKey: "${SECRET}", rights: { "*": [read] } }, *a]`, /^must have no aliases/],
    [`keys: [{ accessKeyId: abc, secretAccessKey: "${SECRET}`, /^line \d+: is no YAML/],
    [`keys: [{ accessKeyId: abc, secretAccessKey: !${SECRET} x, rights: { "*": [read] } }]`, /secretAccessKey/],
    ['keys: [{ accessKeyId: abc, secretAccessKey: 12345678901234567890123456789012345, rights: { "*": [read] } }]', /put it in quotes/],
  ])('%s', (text, problem) => {
    expect(problemsOf(text)[0]).toMatch(problem);
  });

  test('more keys than the bound', () => {
    const many = (count: number) => file(...Array.from({ length: count }, (_, index) => key(`key-${index}`)));
    expect(parseKeys(many(KEYS_MAX)).size).toBe(KEYS_MAX);
    expect(problemsOf(many(KEYS_MAX + 1))).toEqual([`keys: must have at most ${KEYS_MAX} keys`]);
  });
});

test('a list that stands where a name must is refused without a warning that quotes it on stderr', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  try {
    const secret = 'a-secret-that-nobody-may-read-0123456789';
    expect(problemsOf(`keys:\n  ? - { accessKeyId: abc, secretAccessKey: ${secret} }\n`).join()).not.toContain(secret);
    expect(warned).not.toHaveBeenCalled();
  } finally {
    warned.mockRestore();
  }
});
