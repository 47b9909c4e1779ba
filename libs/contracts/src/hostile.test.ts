/** What does not fit the contract is refused, by the name of the field, with one kind of error and a message of bounded length. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { examples, SUBJECTS } from '../fixtures/examples.ts';
import {
  CATALOG_LOG,
  contentDistributed,
  contentInvalidated,
  contentUploaded,
  decode,
  describeIssues,
  edgeReport,
  encode,
  errorToWire,
  InvalidMessageError,
  KEY_MAX_BYTES,
  LIST_MAX_ITEMS,
  MESSAGE_MAX_BYTES,
  manifest,
  originReport,
  VARIANTS_MAX_ITEMS,
} from './mod.ts';

type Path = (string | number)[];

/** The refusal of `payload`. Fails the test when it is accepted, or refused with anything but an InvalidMessageError. */
function refusal(schema: z.ZodType, payload: string | Uint8Array): string {
  try {
    decode('s', schema, Buffer.from(payload as string));
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidMessageError);
    expect((error as Error).message.length).toBeLessThan(4096);
    return (error as Error).message;
  }
  return 'accepted';
}

function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  const below = Object.entries(value).flatMap(([name, child]) => pathsOf(child, [...at, Array.isArray(value) ? Number(name) : name]));
  return at.length === 0 ? below : [at, ...below];
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, name) => (inner as Record<string | number, unknown> | undefined)?.[name], value);
}

function replaced(value: unknown, path: Path, by: unknown): unknown {
  const copy = structuredClone(value);
  (at(copy, path.slice(0, -1)) as Record<string | number, unknown>)[path.at(-1) as string | number] = by;
  return copy;
}

const EXAMPLES = examples();
const MANIFEST = JSON.stringify(EXAMPLES.find(({ example }) => example.name === 'from the origin')?.example.message).match(
  /"manifest":(\{.*\}),"at"/,
)?.[1] as string;
/** Fields of manifests in the examples that no schema knows: they are passed on, whatever is in them. */
const UNKNOWN_FIELDS: ReadonlySet<string> = new Set(['lang', 'unknownHere']);
const withMeta = (meta: string): string => MANIFEST.replace(/"meta":\{[^}]*\}/, `"meta":${meta}`);

describe('a message off the contract', () => {
  test.each(EXAMPLES)('$title: a field of another type is refused by its name, whichever it is', ({ schema, example }) => {
    for (const path of pathsOf(example.message)) {
      const known = at(example.decoded ?? example.message, path) !== undefined && !path.some((name) => UNKNOWN_FIELDS.has(String(name)));
      for (const wrong of [null, typeof at(example.message, path) === 'object' ? 7 : { a: [] }]) {
        const answer = refusal(schema, JSON.stringify(replaced(example.message, path, wrong)));
        if (known) expect(answer).toContain(`${path.join('.')}: `);
        else expect(answer).toBe('accepted');
      }
    }
  });

  test.each([
    ['nothing', ''],
    ['half an object', '{"key":"site/a"'],
    ['two values', '{"key":"site/a"}{}'],
    ['a byte order mark', '\ufeff{"key":"site/a"}'],
    ['a NUL', '{"key":"site/a"}\0'],
    ['NaN', '{"key":"site/a","version":NaN}'],
    ['invalid UTF-8', Buffer.from([...Buffer.from('{"key":"site/'), 0xff, 0xfe, ...Buffer.from('"}')])],
    ['an overlong slash', Buffer.from([...Buffer.from('{"key":"site'), 0xc0, 0xaf, ...Buffer.from('a"}')])],
    ['a surrogate in UTF-8', Buffer.from([...Buffer.from('{"key":"site/'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')])],
  ])('%s is not JSON in UTF-8', (_what, payload) => {
    expect(refusal(contentUploaded, payload)).toMatch(/^s: not JSON in UTF-8: /);
  });

  test.each([
    ['null', 'null'],
    ['an array', '[]'],
    ['a string', '"{\\"key\\":\\"site/a\\"}"'],
    ['a number', '5'],
  ])('%s is no object', (_what, payload) => {
    for (const { message, request, reply } of Object.values(SUBJECTS)) {
      for (const schema of [message, request, reply]) {
        if (schema !== undefined) expect(refusal(schema, payload)).toMatch(/expected object/);
      }
    }
  });

  test.each([
    ['no bucket', 'app.js'],
    ['no path', 'site/'],
    ['an empty bucket', '/a'],
    ['a bucket in upper case', 'Site/a'],
    ['a bucket of two dots', 'a..b/c'],
    ['a bucket of 64 characters', `${'b'.repeat(64)}/a`],
    ['a parent segment', 'site/../etc/passwd'],
    ['a parent segment at the end', 'site/..'],
    ['a dot segment', 'site/./a'],
    ['a NUL', 'site/a\0b'],
    ['a line break', 'site/a\r\nSet-Cookie: x'],
    ['a lone surrogate', 'site/\ud800'],
    ['one byte too many', `site/${'é'.repeat((KEY_MAX_BYTES - 5) / 2 + 1)}`],
  ])('a key with %s is refused', (_what, key) => {
    expect(refusal(contentUploaded, JSON.stringify({ key }))).toMatch(/^s: key: the key /);
    expect(refusal(contentInvalidated, JSON.stringify({ key }))).toMatch(/^s: key: the key /);
  });

  test('the longest key and keys that only look odd are taken', () => {
    const keys = [`site/${'k'.repeat(KEY_MAX_BYTES - 5)}`, 'site//a', 'site/...', 'site/a..b', 'site/%2e%2e/+ \u{1f600}', 'b/__proto__'];
    for (const key of keys) expect(decode('s', contentUploaded, Buffer.from(JSON.stringify({ key })))).toEqual({ key });
  });

  test.each([
    ['none', '{}', /^s: key: name exactly one of "key", "prefix", "tag" or "all"/],
    ['only a mode', '{"mode":"purge"}', /^s: key: name exactly one/],
    ['two', '{"key":"site/a","all":true}', /^s: key: name exactly one/],
    ['all four', '{"key":"site/a","prefix":"site/","tag":"t","all":true}', /^s: key: name exactly one/],
    ['all that is false', '{"all":false}', /^s: all: can only be true/],
    ['an empty prefix', '{"prefix":""}', /^s: prefix: must not be empty/],
    ['a prefix with a NUL', '{"prefix":"site/\\u0000"}', /^s: prefix: the prefix contains a control character/],
    ['a prefix with a lone surrogate', '{"prefix":"site/\\udc00"}', /^s: prefix: the prefix is not well-formed/],
    ['a prefix beyond any key', JSON.stringify({ prefix: 'é'.repeat(KEY_MAX_BYTES / 2 + 1) }), /^s: prefix: the prefix is longer/],
    ['a tag with a space', '{"tag":"a b"}', /^s: tag: must be 1 to 256 characters/],
    ['a tag with a lone surrogate', '{"tag":"\\ud800"}', /^s: tag: must be/],
    ['another mode', '{"all":true,"mode":"PURGE"}', /^s: mode: must be "stale" or "purge"/],
  ])('an invalidation that names %s is refused', (_what, payload, reason) => {
    expect(refusal(contentInvalidated, payload)).toMatch(reason);
  });

  test.each(['1e309', '-1e309', '9007199254740992', '1.5', '-1', '0', '"1"', 'true', '[1]'])('%s is no version', (number) => {
    expect(refusal(contentUploaded, `{"key":"site/a","version":${number}}`)).toMatch(/^s: version: must be/);
  });

  test.each(['1e309', '-1', '9007199254740992', '0.5'])('%s is no count of bytes', (number) => {
    expect(refusal(manifest, MANIFEST.replace(/"size":\d+/, `"size":${number}`))).toMatch(/^s: size: must /);
  });

  test('an edge whose id would be more than one subject token, or whose URL no visitor can open, is refused', () => {
    const report = EXAMPLES.find(({ example }) => example.name === 'just started')?.example.message as object;
    for (const id of ['', 'a.b', '*', '>', 'a b', 'é', 'x'.repeat(65)]) {
      expect(refusal(edgeReport, JSON.stringify({ ...report, id }))).toMatch(/^s: id: must be/);
    }
    for (const url of ['', '/relative', 'javascript:alert(1)', 'file:///etc/passwd', 'http://']) {
      expect(refusal(edgeReport, JSON.stringify({ ...report, url }))).toMatch(/^s: url: must be an absolute http or https URL/);
    }
  });
});

describe('a hostile message', () => {
  test('more than 1 MiB is refused unread, exactly 1 MiB is read', () => {
    const longest = `{"key":"site/a"${' '.repeat(MESSAGE_MAX_BYTES - 16)}}`;
    expect(decode('s', contentUploaded, Buffer.from(longest))).toEqual({ key: 'site/a' });
    expect(refusal(contentUploaded, `${longest} `)).toBe(
      `s: the message has ${MESSAGE_MAX_BYTES + 1} bytes, more than ${MESSAGE_MAX_BYTES}`,
    );
  });

  test('what would be more than 1 MiB does not leave', () => {
    const example = EXAMPLES.find(({ example }) => example.name === 'every outcome')?.example.message as z.input<typeof contentDistributed>;
    const edges = Array.from({ length: 10_000 }, () => ({ ...example.edges[0], error: 'e'.repeat(100) }) as (typeof example.edges)[0]);
    expect(() => encode('s', contentDistributed, { ...example, edges })).toThrow(/^s: the message has \d+ bytes, more than 1048576$/);
  });

  test('nesting of 100,000 levels is refused by its field, and passes in a field nobody knows', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const deepObject = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`;
    for (const nested of [deep, deepObject]) {
      expect(refusal(contentUploaded, `{"key":${nested}}`)).toMatch(/^s: key: /);
      expect(refusal(contentUploaded, `{"key":"site/a","manifest":${nested}}`)).toMatch(/^s: manifest/);
      expect(refusal(manifest, withMeta(`{"a":${nested}}`))).toMatch(/^s: meta\.a: /);
      expect(decode('s', contentUploaded, Buffer.from(`{"key":"site/a","x":${nested}}`))).toEqual({ key: 'site/a' });
    }
  });

  test('__proto__, constructor and toString are names like others and change no object', () => {
    const payload = '{"key":"site/a","__proto__":{"version":7,"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":5}';
    const decoded = decode('s', contentUploaded, Buffer.from(payload));
    expect(Object.keys(decoded)).toEqual(['key']);
    expect(decoded.version).toBeUndefined();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(refusal(manifest, withMeta('{"__proto__":"x","a":"b"}'))).toBe('s: meta: must not have an entry named __proto__');
    expect(decode('s', manifest, Buffer.from(withMeta('{"constructor":"x"}'))).meta).toEqual({ constructor: 'x' });
    for (const op of ['__proto__', 'constructor', 'toString']) {
      expect(refusal(SUBJECTS['edge.push.json']?.request as z.ZodType, `{"op":"${op}"}`)).toMatch(/^s: op: /);
    }
  });

  test('of a field that comes twice the last one counts and is checked, so no two receivers understand it differently', () => {
    expect(decode('s', contentUploaded, Buffer.from('{"key":"site/../x","key":"site/a"}'))).toEqual({ key: 'site/a' });
    expect(refusal(contentUploaded, '{"key":"site/a","key":"site/../x"}')).toMatch(/^s: key: the key has a "\." or "\.\." segment/);
  });

  test(`more than ${LIST_MAX_ITEMS} tags, regions or metadata entries are refused, ${LIST_MAX_ITEMS} are taken`, () => {
    const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`);
    const entries = (count: number) => JSON.stringify(Object.fromEntries(names(count).map((name) => [name, 'x'])));
    const withList = (field: string, count: number) =>
      MANIFEST.replace(new RegExp(`"${field}":\\[[^\\]]*\\]`), `"${field}":${JSON.stringify(names(count))}`);
    for (const count of [LIST_MAX_ITEMS + 1, 10_000]) {
      expect(refusal(manifest, withList('tags', count))).toBe(`s: tags: must name at most ${LIST_MAX_ITEMS} tags`);
      expect(refusal(manifest, withList('regions', count))).toBe(`s: regions: must name at most ${LIST_MAX_ITEMS} regions`);
      expect(refusal(manifest, withMeta(entries(count)))).toBe(`s: meta: must have at most ${LIST_MAX_ITEMS} entries`);
    }
    expect(refusal(manifest, withList('tags', LIST_MAX_ITEMS))).toBe('accepted');
    expect(refusal(manifest, withMeta(entries(LIST_MAX_ITEMS)))).toBe('accepted');
  });

  test(`more than ${VARIANTS_MAX_ITEMS} variants are refused, and so is a coding that could not stand in a field`, () => {
    const variant = (coding: string) => ({ coding, sha256: 'c'.repeat(64), size: 1 });
    const withVariants = (variants: object[]) => MANIFEST.replace(/^\{/, `{"variants":${JSON.stringify(variants)},`);
    const many = (count: number) => withVariants(Array.from({ length: count }, (_, index) => variant(`c${index}`)));
    expect(refusal(manifest, many(VARIANTS_MAX_ITEMS))).toBe('accepted');
    expect(refusal(manifest, many(VARIANTS_MAX_ITEMS + 1))).toBe(`s: variants: must name at most ${VARIANTS_MAX_ITEMS} variants`);
    for (const coding of ['', 'BR', 'br\r\nX: y', 'a'.repeat(17), '*']) {
      expect(refusal(manifest, withVariants([variant(coding)]))).toMatch(/^s: variants\.0\.coding: must be the name of a content coding/);
    }
  });

  test.each([
    ['no kind', '{}', /^s: kind: /],
    ['a kind that is none', '{"kind":"backup"}', /^s: kind: /],
    ['a catalog without an id', '{"kind":"genesis","catalogId":"","version":1}', /^s: catalogId: /],
    ['a version that is none', '{"kind":"forgotten","version":0}', /^s: version: /],
    ['a removal of what can be no key', '{"kind":"removal","stamp":STAMP,"key":"site/../x","ever":"*"}', /^s: key: the key /],
    [
      'more regions than a key can have been in',
      `{"kind":"removal","stamp":STAMP,"key":"site/a","ever":${JSON.stringify(Array(257).fill('US'))}}`,
      /^s: ever/,
    ],
    [
      'an invalidation of two things',
      '{"kind":"invalidation","stamp":STAMP,"selector":{"all":true,"tag":"a"},"mode":"stale"}',
      /^s: selector\.key: name exactly one/,
    ],
    ['an invalidation of no mode', '{"kind":"invalidation","stamp":STAMP,"selector":{"all":true}}', /^s: mode: /],
    [
      'a time before all time',
      '{"kind":"removal","stamp":{"version":1,"eventId":"e","atMs":-1},"key":"site/a","ever":"*"}',
      /^s: stamp\.atMs: /,
    ],
    ['content of no manifest', '{"kind":"object","stamp":STAMP,"etag":"e","ever":"*"}', /^s: manifest: /],
    [
      'a revision without end',
      `{"kind":"object","stamp":STAMP,"manifest":MANIFEST,"etag":"e","ever":"*","source":{"revision":"${'r'.repeat(513)}","bytesRevision":"b"}}`,
      /^s: source\.revision: /,
    ],
  ])('an entry of the log of a catalog with %s is refused', (_what, entry, reason) => {
    const payload = entry.replace('STAMP', '{"version":1,"eventId":"e","atMs":1}').replace('MANIFEST', MANIFEST);
    expect(refusal(CATALOG_LOG.message, payload)).toMatch(reason);
  });

  test.each(['', 'a.b', '*', '>', 'o 1', 'ö', 'x'.repeat(65)])('an origin cannot be called "%s"', (id) => {
    expect(refusal(originReport, JSON.stringify({ id }))).toMatch(/^s: id: must be 1 to 64 characters/);
  });

  test('a header field value that could end the field is refused', () => {
    for (const value of ['a\r\nX: y', 'a\0', 'ключ', 'x'.repeat(1025)]) {
      expect(refusal(manifest, MANIFEST.replace(/"contentType":"[^"]*"/, `"contentType":${JSON.stringify(value)}`))).toMatch(
        /^s: contentType: /,
      );
      expect(refusal(manifest, withMeta(JSON.stringify({ a: value })))).toMatch(/^s: meta\.a: /);
    }
    expect(refusal(manifest, withMeta('{"A b":"x"}'))).toBe(
      's: meta.A b: the name must be a lower-case HTTP token of at most 128 characters',
    );
  });

  test('what is no JSON is refused in well-formed words, wherever they cut what they quote', () => {
    for (let shift = 0; shift < 4; shift += 1) {
      const reason = refusal(contentUploaded, `${'x'.repeat(shift)}${'\u{1f600}'.repeat(1_000)}`);
      expect(reason).toMatch(/^s: not JSON in UTF-8: /);
      expect(reason.isWellFormed()).toBe(true);
    }
  });

  test('thousands of wrong fields and the longest of names make a short refusal that can travel', () => {
    const many = withMeta(JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`N${index}`, index]))));
    expect(refusal(manifest, many)).toMatch(/^s: meta\.N0: .*; and \d+ more$/);
    const long = refusal(manifest, withMeta(JSON.stringify({ [`${'\u{1f600}'.repeat(200_000)}`]: 'x' })));
    expect(long).toMatch(/^s: meta\./);
    expect(long.isWellFormed()).toBe(true);
    expect(errorToWire(new InvalidMessageError('s', 'x'.repeat(10_000))).message).toHaveLength(4096);
  });
});

describe('any JSON', () => {
  /** Decodes and checks: the same again, or an InvalidMessageError. Nothing else. */
  function isUnderstoodOrRefused(schema: z.ZodType, payload: Uint8Array): void {
    let first: unknown;
    try {
      first = decode('s', schema, payload);
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidMessageError);
      return;
    }
    const sent = encode('s', schema, first);
    const second = decode('s', schema, sent);
    expect(Buffer.from(encode('s', schema, second)).equals(sent)).toBe(true);
  }
  const schemas = Object.values(SUBJECTS).flatMap(({ message, request, reply }) =>
    [message, request, reply].filter((schema) => schema !== undefined),
  );
  const value = fc.oneof(
    fc.jsonValue({ stringUnit: 'binary' }),
    fc.constantFrom('__proto__', '', 'site/a', -0, 2 ** 53, [], {}, null, true),
  );

  test('is understood or refused, whatever its shape', () => {
    fc.assert(
      fc.property(fc.constantFrom(...schemas), value, (schema, json) => isUnderstoodOrRefused(schema, Buffer.from(JSON.stringify(json)))),
      { numRuns: 500 },
    );
  });

  test('is understood or refused when any of its fields is anything else, is missing or is new', () => {
    const change = fc.tuple(fc.nat(), fc.constantFrom('replace', 'remove', 'add'), fc.string(), value);
    fc.assert(
      fc.property(fc.constantFrom(...EXAMPLES), fc.array(change, { minLength: 1, maxLength: 3 }), ({ schema, example }, changes) => {
        let message = structuredClone(example.message) as Record<string, unknown>;
        for (const [pick, kind, name, json] of changes) {
          const paths = pathsOf(message);
          const path = paths[pick % Math.max(paths.length, 1)];
          if (path === undefined) continue;
          if (kind === 'replace') message = replaced(message, path, json) as Record<string, unknown>;
          else if (kind === 'remove') message = replaced(message, path, undefined) as Record<string, unknown>;
          else message = { ...message, [name]: json };
        }
        isUnderstoodOrRefused(schema, Buffer.from(JSON.stringify(message)));
      }),
      { numRuns: 2_000 },
    );
  });

  test('bytes that are anything are understood or refused', () => {
    fc.assert(
      fc.property(fc.constantFrom(...EXAMPLES), fc.nat(), fc.uint8Array({ maxLength: 8 }), ({ schema, example }, place, noise) => {
        const bytes = Buffer.from(JSON.stringify(example.message));
        bytes.set(noise, place % Math.max(bytes.length - noise.length, 1));
        isUnderstoodOrRefused(schema, bytes);
      }),
      { numRuns: 1_000 },
    );
  });

  test('every refusal lists at most eight problems', () => {
    const result = contentUploaded.array().safeParse(Array.from({ length: 100 }, () => ({})));
    expect(describeIssues(result.error as z.ZodError).split('; ')).toHaveLength(9);
  });
});
