/** The guarantees are as good as the tests that they name. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const DOCS = join(import.meta.dirname, '../../docs');

test('each promise names tests, and each test that is named is there under its name', async () => {
  const text = await readFile(join(DOCS, 'guarantees.md'), 'utf8');
  const promises = text.split(/^## (?=\d+\. )/m).slice(1);
  expect(promises).toHaveLength(8);
  for (const promise of promises) {
    const guards = promise.split('**Guarded by:**')[1]?.split('\n## ')[0] ?? '';
    const lines = guards.split('\n').filter((line) => line.includes('.test.ts]('));
    expect(lines.length, promise.split('\n')[0]).toBeGreaterThan(0);
    for (const line of lines) {
      const sources = await Promise.all(
        [...line.matchAll(/\]\(([^)#]+\.test\.ts)\)/g)].map(([, path]) => readFile(join(DOCS, path as string), 'utf8')),
      );
      for (const [, title] of line.matchAll(/"([^"]+)"/g)) {
        expect(
          sources.some((source) => source.includes(title as string)),
          `${title} of ${line}`,
        ).toBe(true);
      }
    }
  }
});
