import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fieldSectionBytes, fieldsOfHttp2 } from './http2-fields.ts';

const fields = (...raw: string[]) => ({ ...fieldsOfHttp2(raw) });

test(':authority is Host too, and goes before a Host that says the same (RFC 9113 §8.3.1)', () => {
  expect(fields(':authority', 'a.org')).toEqual({ ':authority': 'a.org', host: 'a.org' });
  expect(fields(':authority', 'a.org', 'host', 'A.org')).toMatchObject({ host: 'a.org' });
  expect(fields('host', 'a.org')).toEqual({ host: 'a.org' });
});

test('several fields of a name are one list, crumbs of a cookie one cookie, and of a single field the first counts', () => {
  const given = ['if-none-match', '"a"', 'cookie', 'a=1', 'if-none-match', '"b"', 'cookie', 'b=2', 'user-agent', 'x', 'user-agent', 'y'];
  expect(fields(...given)).toEqual({ 'if-none-match': '"a", "b"', cookie: 'a=1; b=2', 'user-agent': 'x' });
});

test('any names and values are taken, and no name reaches beyond the fields', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), fc.string())), (pairs) => {
      const got = fieldsOfHttp2(pairs.flat());
      for (const [name] of pairs) expect(Object.hasOwn(got, name)).toBe(true);
      expect(Object.getPrototypeOf(got)).toBeNull();
    }),
  );
  expect(Object.hasOwn(fieldsOfHttp2(['__proto__', 'x']), '__proto__')).toBe(true);
});

test('the size of a field is its name, its value and 32 (RFC 9113 §6.5.2)', () => {
  expect(fieldSectionBytes(['abc', 'de', 'f', ''])).toBe(5 + 32 + 1 + 32);
});
