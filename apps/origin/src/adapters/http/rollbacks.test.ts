import { describe, expect, test } from 'vitest';
import { originFixture } from '../../testing/origin.fixture.ts';

const KEYS = 2_500;

describe('POST /-/rollbacks', () => {
  test.each([
    ['not JSON', '{"key":', 400, 'InvalidArgument'],
    ['neither key nor prefix', '{"to":1}', 400, 'InvalidArgument'],
    ['a key that is none', '{"key":"../x"}', 400, 'InvalidArgument'],
    ['a version that is none', '{"key":"site/a","to":-1}', 400, 'InvalidArgument'],
    ['a word that is not known', '{"key":"site/a","too":1}', 400, 'InvalidArgument'],
    ['a body of 100 kB', JSON.stringify({ key: 'x'.repeat(100_000) }), 400, 'EntityTooLarge'],
    ['a key that was never there', '{"key":"site/never"}', 404, 'NoSuchVersion'],
  ])('%s is refused, and nothing is announced', async (_, body, status, code) => {
    await using origin = await originFixture();
    const response = await fetch(`${origin.url}/-/rollbacks`, { method: 'POST', body });
    expect([response.status, await response.json()]).toEqual([status, { error: { code, message: expect.any(String) } }]);
    expect(await origin.metric('sluice_origin_outbox_events')).toBe(0);
  });

  test('a prefix of many keys comes back page by page, each key once', async () => {
    await using origin = await originFixture();
    const keys = Array.from({ length: KEYS }, (_, number) => `site/${number}`);
    const putAll = async (content: string): Promise<void> => {
      for (let start = 0; start < KEYS; start += 250) {
        await Promise.all(keys.slice(start, start + 250).map((key) => fetch(`${origin.url}/${key}`, { method: 'PUT', body: content })));
      }
    };
    await putAll('old');
    await putAll('new');
    const seen: string[] = [];
    let next: string | undefined;
    let pages = 0;
    do {
      const response = await fetch(`${origin.url}/-/rollbacks`, { method: 'POST', body: JSON.stringify({ prefix: 'site/', after: next }) });
      const page = (await response.json()) as { rolledBack: { key: string }[]; next?: string };
      seen.push(...page.rolledBack.map(({ key }) => key));
      next = page.next;
      pages += 1;
    } while (next !== undefined);
    expect([pages, seen.length, new Set(seen)]).toEqual([3, KEYS, new Set(keys)]);
    expect(await (await fetch(`${origin.url}/site/1234`)).text()).toBe('old');
  }, 60_000);
});
