import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AccessEntry, accessLogFormat, LINE_MAX_BYTES } from './access-log.ts';

const ENTRY: AccessEntry = {
  timeMs: Date.UTC(2026, 10, 4, 9, 5, 7, 8),
  durationMs: 1.23456,
  client: '192.0.2.1',
  method: 'GET',
  target: '/site/a.js?v=1',
  httpVersion: '1.1',
  host: 'www.example.com',
  referer: 'https://www.example.com/',
  userAgent: 'Mozilla/5.0 (X11)',
  site: 'www',
  status: 200,
  bodyBytes: 1_234,
  cache: 'hit',
  version: 1_795_457_333_021_000,
  complete: true,
};
const NOTHING: AccessEntry = {
  ...{ timeMs: 0, durationMs: 0, status: 400, bodyBytes: 0, complete: true },
  ...{ client: undefined, method: undefined, target: undefined, httpVersion: undefined, host: undefined, referer: undefined },
  ...{ userAgent: undefined, site: undefined, cache: undefined, version: undefined },
};
const combined = accessLogFormat('combined', 'us-1');
const json = accessLogFormat('json', 'us-1');

/** How a reader of the combined format takes a line apart. */
const COMBINED = /^(\S+) - - \[(\d{2}\/\w{3}\/\d{4}:\d{2}:\d{2}:\d{2} \+0000)\] "([^"]*)" (\d{3}) (\d+) "([^"]*)" "([^"]*)"\n$/;

test('a combined line', () => {
  expect(combined(ENTRY)).toBe(
    '192.0.2.1 - - [04/Nov/2026:09:05:07 +0000] "GET /site/a.js?v=1 HTTP/1.1" 200 1234 "https://www.example.com/" "Mozilla/5.0 (X11)"\n',
  );
  expect(combined(NOTHING)).toBe('- - - [01/Jan/1970:00:00:00 +0000] "-" 400 0 "-" "-"\n');
});

test('a JSON line', () => {
  const { timeMs: _, durationMs: __, httpVersion: ___, ...same } = ENTRY;
  expect(JSON.parse(json(ENTRY))).toEqual({
    ...{ level: 'info', time: '2026-11-04T09:05:07.008Z', app: 'edge', edge: 'us-1', msg: 'request' },
    ...{ ...same, durationMs: 1.235, protocol: 'HTTP/1.1' },
  });
  const { timeMs: ____, httpVersion: _____, ...absent } = NOTHING;
  expect(JSON.parse(json(NOTHING))).toMatchObject({
    ...Object.fromEntries(Object.entries(absent).map(([name, value]) => [name, value ?? null])),
    protocol: null,
  });
});

test('the time is that of each line, also when they come out of order', () => {
  const times = [0, 999, 1_000, 500, 86_400_000].map((timeMs) => (JSON.parse(json({ ...NOTHING, timeMs })) as { time: string }).time);
  expect(times).toEqual([0, 999, 1_000, 500, 86_400_000].map((timeMs) => new Date(timeMs).toISOString()));
});

test('quotes, backslashes, control characters and bytes beyond ASCII are escaped as nginx does it', () => {
  const [, , , request, , , referer, agent] =
    COMBINED.exec(combined({ ...ENTRY, target: '/"\\', referer: 'a\r\nb\x7f', userAgent: 'é\x1b[2J' })) ?? [];
  expect([request, referer, agent]).toEqual(['GET /\\x22\\x5C HTTP/1.1', 'a\\x0D\\x0Ab\\x7F', '\\xE9\\x1B[2J']);
});

test('the signature of a signed link is not written, neither in the target nor in the referer', () => {
  const link = '/film.mp4?sluice-expires=1&sluice-signature=SECRET';
  for (const format of [combined, json]) {
    const line = format({ ...ENTRY, target: link, referer: `https://x${link}&t=3` });
    expect(line).not.toContain('SECRET');
    expect(line).toContain('/film.mp4?sluice-expires=1&sluice-signature=redacted"'.replace('"', format === json ? '"' : ' HTTP/1.1"'));
    expect(line).toContain('https://x/film.mp4?sluice-expires=1&sluice-signature=redacted&t=3"');
  }
});

test('a text that is too long is cut, and says so', () => {
  const exact = 'a'.repeat(600);
  expect(JSON.parse(json({ ...ENTRY, userAgent: exact })).userAgent).toBe(exact);
  expect(JSON.parse(json({ ...ENTRY, userAgent: `${exact}a` })).userAgent).toBe(`${'a'.repeat(597)}...`);
  expect(JSON.parse(json({ ...ENTRY, userAgent: '\x01'.repeat(600) })).userAgent).toBe(`${'\x01'.repeat(99)}...`);
});

describe('whatever a client sends', () => {
  const anything = fc.option(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 50 }),
      fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 50 }),
      fc.constantFrom('"', '\\', '\n', '\x00', 'a', 'é').map((character) => character.repeat(5_000)),
    ),
    { nil: undefined },
  );
  const entries = fc
    .record({
      method: anything,
      target: anything,
      httpVersion: anything,
      host: anything,
      referer: anything,
      userAgent: anything,
      cutOff: fc.boolean(),
    })
    .map(({ cutOff, ...texts }): AccessEntry => ({ ...ENTRY, ...texts, complete: !cutOff }));

  test('it is one line of printable ASCII that fits into a pipe in one piece', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        for (const format of [combined, json]) {
          const line = format(entry);
          expect(line).toMatch(/^[\x20-\x7e]+\n$/);
          expect(line.length).toBeLessThanOrEqual(LINE_MAX_BYTES);
        }
      }),
    );
    const worst = '\x01'.repeat(10_000);
    const longest = { ...ENTRY, method: worst, target: worst, httpVersion: worst, host: worst, referer: worst, userAgent: worst };
    const inUse = { ...longest, client: 'f'.repeat(45), site: 's'.repeat(64), durationMs: 1e12 + 0.123, bodyBytes: 2 ** 53 - 1 };
    expect(accessLogFormat('json', 'e'.repeat(64))(inUse).length).toBeLessThanOrEqual(LINE_MAX_BYTES);
  });

  test('a combined line has its nine fields, and none of them breaks out of its quotes', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const [, client, , , status, bodyBytes] = COMBINED.exec(combined(entry)) ?? [];
        expect([client, status, bodyBytes]).toEqual([ENTRY.client, '200', '1234']);
      }),
    );
  });

  test('a JSON line gives back each text that is short enough', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const read = JSON.parse(json(entry)) as Record<string, unknown>;
        expect([read.client, read.status, read.complete]).toEqual([ENTRY.client, 200, entry.complete]);
        if (entry.userAgent !== undefined && entry.userAgent.length <= 50) expect(read.userAgent).toBe(entry.userAgent);
      }),
    );
  });
});
