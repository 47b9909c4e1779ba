import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ListedUpload, pageOfUploads, type UploadPage } from './upload-page.ts';

const bytes = (text: string) => Buffer.from(text);
const inOrder = (a: ListedUpload, b: ListedUpload) => Buffer.compare(bytes(a.key), bytes(b.key)) || a.id.localeCompare(b.id);

/** What stands behind a marker, as the catalog gives it. */
function behind(all: ListedUpload[], prefix: string, after: ListedUpload): ListedUpload[] {
  const marker = { key: after.key, id: after.id === '' ? 'g' : after.id };
  return all.filter((upload) => upload.key.startsWith(prefix) && inOrder(upload, marker) > 0);
}

test('pages of any size, put together, are all uploads of the prefix, with what is behind the delimiter counted once', () => {
  const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', '\uFF5E', '\u{1F600}'), minLength: 1, maxLength: 5 });
  const uploads = fc.uniqueArray(fc.record({ key, id: fc.constantFrom('0', '1', '2') }), {
    maxLength: 30,
    selector: ({ key, id }) => `${key} ${id}`,
  });
  const prefix = fc.constantFrom('', 'a', 'a/', '/');
  const delimiter = fc.constantFrom('', '/', 'ab', '\u{1F600}');
  fc.assert(
    fc.property(uploads, prefix, delimiter, fc.integer({ min: 1, max: 5 }), (list, prefix, delimiter, max) => {
      const all = [...list].sort(inOrder);
      const seen: string[] = [];
      let after: ListedUpload | undefined = { key: '', id: '' };
      while (after !== undefined) {
        const page: UploadPage<ListedUpload> = pageOfUploads(behind(all, prefix, after), { prefix, delimiter, keyMarker: after.key, max });
        expect(page.uploads.length + page.commonPrefixes.length).toBeLessThanOrEqual(max);
        seen.push(...page.uploads.map((upload) => `${upload.key} ${upload.id}`), ...page.commonPrefixes);
        after = page.next;
      }
      const expected = new Set(
        behind(all, prefix, { key: '', id: '' }).map(({ key, id }) => {
          const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
          return at === -1 ? `${key} ${id}` : key.slice(0, at + delimiter.length);
        }),
      );
      expect(seen.sort()).toEqual([...expected].sort());
    }),
    { numRuns: 500 },
  );
});

test('a page of no entries is the last', () => {
  expect(pageOfUploads([{ key: 'a', id: '0' }], { prefix: '', delimiter: '', keyMarker: '', max: 0 }).next).toBeUndefined();
});
