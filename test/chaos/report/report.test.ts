import { styleText } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { begin, fault, operation, RUN, second, violation } from './entries.fixture.ts';
import { html } from './html.ts';
import { pageOf } from './page.ts';
import { partOf } from './plot.ts';
import type { LogEntry } from './run-log.ts';
import { problemsOf, summarize } from './summary.ts';
import { type Style, tableOf, textOf } from './text.ts';

const BROKEN = [...RUN, violation];
const TOLD = 'monotonic at 1.5 s: edge us-1: chaos/a: version 1 after 2';
/** The text of the page's cells, row by row, without markup. */
const rowsOf = (page: string): string[] =>
  [...page.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row]) =>
    [...(row as string).matchAll(/<t[dh].*?>(.*?)<\/t[dh]>/gs)].map(([, cell]) => (cell as string).replace(/<[^>]*>/g, '')).join(' | '),
  );
const countIn = (page: string, what: RegExp): number => page.match(what)?.length ?? 0;

describe('the summary', () => {
  test('has the numbers of the log', () => {
    expect(summarize(RUN)).toEqual({
      ...{ seed: 7, seconds: 6, reads: 600, excused: 3, operations: 5, overlapped: 3, strikes: { kill: 1 } },
      ...{ skipped: { 'disk-full': 'only root may do that' }, violations: [], slowestConvergenceMs: 2_345 },
    });
    expect(problemsOf(summarize(RUN))).toEqual([]);
  });

  test('counts an operation as during a fault when any moment of both is the same, and once however many faults there are', () => {
    const moments = fc.tuple(fc.nat(12), fc.nat(4)).map(([from, length]) => [from, from + length] as const);
    fc.assert(
      fc.property(fc.array(moments, { maxLength: 3 }), fc.array(moments, { maxLength: 2 }), (operations, faults) => {
        const during = operations.filter(([from, to]) => {
          for (let atMs = from; atMs <= to; atMs += 1) if (faults.some(([begun, healed]) => begun <= atMs && atMs <= healed)) return true;
          return false;
        });
        const entries = [...operations.map(([from, to]) => operation(from, to)), ...faults.map(([from, to]) => fault(from, to))];
        expect(summarize(entries).overlapped).toBe(during.length);
      }),
    );
  });

  test('of an empty log says that it shows nothing', () => {
    expect(problemsOf(summarize([]))).toEqual(['no fault struck', 'no operation overlapped a fault', 'nothing was read']);
  });

  test('of a run in which no fault struck, nothing overlapped one or nothing was read has a problem', () => {
    const without = (type: LogEntry['type']): string[] => problemsOf(summarize(RUN.filter((entry) => entry.type !== type)));
    expect(without('fault')).toEqual(['no fault struck', 'no operation overlapped a fault']);
    expect(without('operation')).toEqual(['no operation overlapped a fault']);
    expect(without('second')).toEqual(['nothing was read']);
    expect(problemsOf(summarize([begin, second(1_000, 5), fault(100, 200), operation(201, 300)]))).toEqual([
      'no operation overlapped a fault',
    ]);
  });

  test('has each violation as a problem', () => {
    expect(problemsOf(summarize(BROKEN))).toEqual([TOLD]);
    expect(summarize(BROKEN).violations).toEqual([
      { invariant: 'monotonic', atMs: 1_500, edge: 'edge us-1', key: 'chaos/a', what: 'version 1 after 2' },
    ]);
  });
});

describe('the text', () => {
  test('of a run tells its numbers, what was not here, and its problems', () => {
    expect(textOf(summarize(BROKEN)).split('\n')).toEqual([
      '✗ seed 7: 600 answers checked in 6 s, 3 requests without one while something was broken; 5 operations, 3 of them during a fault',
      '  faults: kill 1',
      '  not here: disk-full, only root may do that',
      '  every edge had the catalog 2.3 s after everything ran again',
      `  ✗ ${TOLD}`,
      '',
    ]);
    expect(textOf(summarize(RUN))).toMatch(/^✓ seed 7: /);
    const unequal = RUN.filter(({ type }) => type !== 'converged');
    expect(textOf(summarize(unequal))).toContain('no edge is known to have had the catalog');
    expect(pageOf(unequal)).toContain('<strong>–</strong>');
  });

  test('of many runs is a table with totals, and how often each fault struck in all', () => {
    const other = [
      { ...begin, seed: 8 } as LogEntry,
      second(1_000, 1_000),
      fault(0, 900, 'hang'),
      fault(0, 900),
      operation(0, 5),
      violation,
    ];
    expect(tableOf([summarize(RUN), summarize(other)]).split('\n')).toEqual([
      'seed    reads  operations  during a fault  faults  violations  verdict',
      '7         600           5               3       1           0  ✓',
      '8       1,000           1               1       2           1  ✗',
      '2 runs  1,600           6               4       3           1  1 ✗',
      'faults: hang 1, kill 2',
      '',
    ]);
  });

  test('in colours has the same words in the same places', () => {
    const style: Style = (format, text) => styleText(format, text, { validateStream: false });
    const { stripVTControlCharacters } = process.getBuiltinModule('node:util');
    const summaries = [summarize(RUN), summarize(BROKEN)];
    expect(tableOf(summaries, style)).toContain('\u001b[31m');
    expect(stripVTControlCharacters(tableOf(summaries, style))).toBe(tableOf(summaries));
    expect(stripVTControlCharacters(textOf(summarize(BROKEN), style))).toBe(textOf(summarize(BROKEN)));
  });

  test('obeys no control character of a log', () => {
    const text = textOf(summarize([...RUN, { ...violation, what: 'red \u001b[31m and\nthe next line' }]));
    expect(text).toContain('red \\u001b[31m and\\u000athe next line');
    expect(text).not.toContain('\u001b');
  });
});

test('a value in markup is text, in an element and in attributes of either quote, and markup stays markup', () => {
  const text = `<&>"'\``;
  const escaped = '&#60;&#38;&#62;&#34;&#39;&#96;';
  expect(html`<p title="${text}">${text}${[html`<b>${1}</b>`]}</p>`.text).toBe(`<p title="${escaped}">${escaped}<b>1</b></p>`);
});

describe('the page', () => {
  test('says how it went', () => {
    expect(pageOf(RUN)).toContain('<span class="good">every promise was kept</span>');
    expect(pageOf(BROKEN)).toContain('<span class="bad">1 problem</span>');
    expect(pageOf([begin])).toContain('<li class="bad">no fault struck</li>');
  });

  test('has the numbers of the log in its tiles and tables', () => {
    const page = pageOf([
      ...RUN,
      ...[fault(3_000, 4_500, 'kill', 'edge us-1'), fault(3_000, 4_000, 'disk-slow', 'disk of edge eu-1, 20 operations/s')],
      ...[operation(3_100, 3_400, 'delete', 'done', 3), operation(5_000, 5_001, 'delete', 'given up')],
      { type: 'skipped', atMs: 2_000, name: 'hang', why: 'edge us-1 was struck by something else' },
    ]);
    for (const [number, what] of [
      ['600', 'answers checked'],
      ['7', 'operations'],
      ['4', 'of them during a fault'],
      ['3', 'faults struck'],
      ['0', 'violations'],
    ])
      expect(page).toContain(`<li><strong>${number}</strong><span>${what}</span></li>`);
    expect(rowsOf(page)).toEqual(
      expect.arrayContaining([
        'kill | 2 | 2.2 s | edge us-1 (2)',
        'disk-slow | 1 | 1.0 s | edge eu-1',
        '3.0 s | 4.0 s | disk-slow | disk of edge eu-1, 20 operations/s',
        'disk-full | not on this machine | only root may do that',
        'hang | 2.0 s | edge us-1 was struck by something else',
        'put | done | 5 | 0 | 3 | 200 ms | 1,199 ms',
        'delete | done | 1 | 1 | 1 | 300 ms | 300 ms',
        'delete | given up | 1 | 0 | 0 | 1 ms | 1 ms',
        'edge us-1 | 2.3 s',
      ]),
    );
  });

  test('says of an edge that never had the catalog that it had not', () => {
    expect(rowsOf(pageOf(RUN.filter((entry) => entry.type !== 'converged' || entry.edge !== 'edge eu-1')))).toContain('edge eu-1 | never');
  });

  test('links each mark of a violation to all that it says, and to what was broken then', () => {
    const page = pageOf([...BROKEN, { ...violation, atMs: 3_000, key: 'chaos/b' }, { ...violation, atMs: 500, key: 'chaos/c' }]);
    for (const number of [1, 2, 3]) {
      expect(countIn(page, new RegExp(`<a class="violation" href="#violation-${number}"`, 'g'))).toBe(1);
      expect(countIn(page, new RegExp(`<a id="violation-${number}"`, 'g'))).toBe(1);
    }
    expect(rowsOf(page)).toContain('1 | 1.5 s | monotonic | edge us-1 | chaos/a | version 1 after 2 | kill: edge us-1');
    expect(rowsOf(page)).toContain('2 | 3.0 s | monotonic | edge us-1 | chaos/b | version 1 after 2 | ');
    expect(rowsOf(page)).toContain('3 | 0.5 s | monotonic | edge us-1 | chaos/c | version 1 after 2 | ');
  });

  test('has a bar for each strike with what it says, and a curve of memory for each process, parted where it did not run', () => {
    const page = pageOf([
      ...RUN.filter(({ type }) => type !== 'second'),
      ...[1_000, 2_000, 3_000, 4_000].map((atMs) => second(atMs, 10, 0, { origin: 8e7, ...(atMs !== 3_000 && { 'edge us-1': 9e7 }) })),
    ]);
    expect(countIn(page, /<g class="fault">/g)).toBe(1);
    expect(page).toContain('<title>kill: edge us-1, 1.2 s to 1.9 s</title>');
    const curves = [...page.matchAll(/<path class="curve c\d" d="([^"]*)"><title>(origin|edge us-1)<\/title>/g)];
    expect(curves.map(([, path, name]) => [name, (path as string).match(/M/g)?.length])).toEqual([
      ['edge us-1', 2],
      ['origin', 1],
    ]);
  });

  test('lets faults that strike one part at once not cover each other', () => {
    const page = pageOf([...RUN, fault(1_500, 1_700, 'hang'), fault(1_950, 2_000, 'edge-wiped')]);
    const tops = [...page.matchAll(/<g class="fault"><rect x="[^"]*" y="([^"]*)".*?<title>(\S+):/g)].map(([, y, name]) => [
      name,
      Number(y),
    ]);
    const { kill, hang, 'edge-wiped': wiped } = Object.fromEntries(tops) as Record<string, number>;
    expect(hang).toBeGreaterThan(kill as number);
    expect(wiped).toBe(kill);
  });

  test('draws no more ticks than there are pixels, however long a run was', () => {
    const long = Array.from({ length: 200_000 }, (_, index) => operation(index * 10, index * 10 + 1));
    const page = pageOf([...RUN, ...long]);
    expect(countIn(page, /M\d+ \d+v10/g)).toBeLessThanOrEqual(1_100);
    expect(page.length).toBeLessThan(100_000);
  });

  test('fetches nothing and executes nothing', () => {
    expect(pageOf(BROKEN)).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|\bon\w+=|https?:/);
    expect(pageOf(BROKEN)).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  });

  test('whatever stands in a log, nothing of it becomes markup: the page has the same tags as with harmless text', () => {
    const withText = (text: string): LogEntry[] => [
      ...RUN,
      { ...begin, startedAt: text, edges: [text], missing: { [`name ${text}`]: text } } as LogEntry,
      { ...violation, what: text, edge: text, key: text },
      { type: 'skipped', atMs: 1, name: text, why: text },
      fault(1, 2, `name ${text}`, `zone ${text}`),
      operation(1, 2_000, `kind ${text}`, text),
      second(3_000, 1, 0, { [`process ${text}`]: 1 }),
      { type: 'converged', edge: `other ${text}`, afterMs: 1 },
    ];
    // The log's first `begin` is the one that counts: without it all of the hostile one does.
    const tagsOf = (text: string): string[] => pageOf(withText(text).filter((entry) => entry !== begin)).match(/<[^>]*>/g) as string[];
    const piece = fc.constantFrom(...['<', '>', '"', "'", '&', '`', '/', '=', '-', '!', ']', ' ', '\n', '\0', '\u2028', '<!--', '-->']);
    const word = fc.constantFrom('</title>', '</svg>', '</style>', '<script>alert(1)</script>', '<img src=x onerror=y>', '&lt;', ']]>');
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, word, fc.string()), { minLength: 1, maxLength: 6 }), (pieces) => {
        const text = pieces.join('');
        expect(tagsOf(text)).toEqual(tagsOf('x'.repeat(text.length)));
      }),
      { numRuns: 300, examples: [[['"><script>alert(1)</script>']], [["' onmouseover='x"]], [['</title></svg><img src=x>']]] },
    );
  });
});

test.each([
  ['edge us-1', 'edge us-1'],
  ['disk of edge us-1', 'edge us-1'],
  ['disk of origin, 20 operations/s', 'origin'],
  ['clock of edge us-2, -120 min', 'edge us-2'],
  ['clock of origin, +5 min', 'origin'],
  ['edge in-1 → broker, 200 ms', 'edge in-1'],
  ['edge us-1, 20000 bytes/s', 'edge us-1'],
  ['events and pushes, 20 % twice and 10 % late', 'events and pushes'],
  ['origin, controllers and broker', 'origin, controllers and broker'],
])('"%s" strikes "%s"', (what, part) => {
  expect(partOf(what)).toBe(part);
});
