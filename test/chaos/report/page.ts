/** A run as a page that needs nothing else: a plot of what broke, what was done and what was read, and below it everything in words. Pure. */
import { html, Markup, NOTHING, table, type Value } from './html.ts';
import { COLOURS, colourOf, kindsOf, largestOf, partOf, plotOf, processesOf, secondsOf } from './plot.ts';
import type { LogEntry, Summary } from './run-log.ts';
import { STYLE } from './style.ts';
import { countOf, type EntryOf, entriesOf, overlapsAny, problemsOf, summarize, sumOf } from './summary.ts';

const count = (number: number): string => number.toLocaleString('en-GB');

/** The whole document. Nothing that stands in a log becomes markup, and nothing is fetched or executed. */
export function pageOf(entries: readonly LogEntry[]): string {
  const summary = summarize(entries);
  const problems = problemsOf(summary);
  const verdict =
    problems.length === 0 ? 'every promise was kept' : `${count(problems.length)} ${problems.length === 1 ? 'problem' : 'problems'}`;
  const style = problems.length === 0 ? 'good' : 'bad';
  const [begin] = entriesOf(entries, 'begin');
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Chaos, seed ${summary.seed}: ${verdict}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<h1>Seed ${summary.seed}: <span class="${style}">${verdict}</span></h1>
<p class="faint">Began ${begin?.startedAt ?? 'nobody knows when'}, took ${count(summary.seconds)} s.</p>
${tilesOf(summary)}
${listOf(problems.slice(summary.violations.length))}
<figure>
<div class="wide" tabindex="0">${plotOf(entries)}</div>
<figcaption>${legendOf('operations', kindsOf(entries))}${legendOf('memory', processesOf(entries))}</figcaption>
</figure>
${section('Violations', violationsOf(entries))}
${section('Faults', strikesOf(entries))}
${section('Faults that did not strike', skippedOf(entries))}
${section('Operations', operationsOf(entries))}
${section('Convergence', convergenceOf(entries))}
</body>
</html>
`.text;
}

function section(title: string, body: Markup): Markup {
  return body.text === '' ? NOTHING : html`<h2>${title}</h2>${body}`;
}

function tilesOf(summary: Summary): Markup {
  const { reads, excused, operations, overlapped, strikes, violations, slowestConvergenceMs } = summary;
  const tiles: [Value, string][] = [
    [count(reads), 'answers checked'],
    [count(excused), 'requests without one, while something was broken'],
    [count(operations), 'operations'],
    [count(overlapped), 'of them during a fault'],
    [count(sumOf(Object.values(strikes))), 'faults struck'],
    [count(violations.length), 'violations'],
    [slowestConvergenceMs === 0 ? '–' : secondsOf(slowestConvergenceMs), 'until every edge had the catalog, after everything ran again'],
  ];
  return html`<ul class="tiles">${tiles.map(([number, what]) => html`<li><strong>${number}</strong><span>${what}</span></li>`)}</ul>`;
}

/** Problems beside the violations, which have a table of their own. */
function listOf(problems: readonly string[]): Markup {
  return problems.length === 0 ? NOTHING : html`<ol>${problems.map((problem) => html`<li class="bad">${problem}</li>`)}</ol>`;
}

function legendOf(what: string, names: readonly string[]): Markup {
  if (names.length === 0) return NOTHING;
  const items = names.map((name, index) => html`<li><i class="${colourOf(index)}${index < COLOURS ? '' : ' dashed'}"></i>${name}</li>`);
  return html`<ul class="legend"><li>${what}:</li>${items}</ul>`;
}

/** All that a violation says, and what was broken at that moment. */
function violationsOf(entries: readonly LogEntry[]): Markup {
  const faults = entriesOf(entries, 'fault');
  return table(
    ['', '#at', 'promise', 'edge', 'key', 'what', 'broken then'],
    entriesOf(entries, 'violation').map(({ atMs, invariant, edge, key, what }, index) => [
      html`<a id="violation-${index + 1}" href="#violation-${index + 1}">${index + 1}</a>`,
      ...[secondsOf(atMs), html`<span class="bad">${invariant}</span>`, edge ?? '', key ?? '', what],
      faults
        .filter((fault) => fault.atMs <= atMs && atMs <= fault.healedAtMs)
        .map((fault) => `${fault.name}: ${fault.what}`)
        .join('; '),
    ]),
  );
}

function strikesOf(entries: readonly LogEntry[]): Markup {
  const faults = entriesOf(entries, 'fault');
  if (faults.length === 0) return NOTHING;
  const byName = [...Map.groupBy(faults, ({ name }) => name)].sort(([a], [b]) => a.localeCompare(b));
  const totals = byName.map(([name, strikes]) => [
    name,
    count(strikes.length),
    secondsOf(sumOf(strikes.map(({ atMs, healedAtMs }) => healedAtMs - atMs))),
    timesOf(strikes.map(({ what }) => partOf(what))),
  ]);
  const each = faults
    .toSorted((a, b) => a.atMs - b.atMs)
    .map(({ atMs, healedAtMs, name, what }) => [secondsOf(atMs), secondsOf(healedAtMs), name, what]);
  return html`${table(['fault', '#strikes', '#in all', 'at'], totals)}
<details><summary>Each of the ${count(faults.length)} strikes</summary>${table(['#from', '#to', 'fault', 'struck'], each)}</details>`;
}

/** `edge us-1 (2), origin` */
function timesOf(names: readonly string[]): string {
  return Object.entries(countOf(names))
    .map(([name, times]) => (times === 1 ? name : `${name} (${times})`))
    .join(', ');
}

/** What this machine cannot break, and what was planned and struck nothing. */
function skippedOf(entries: readonly LogEntry[]): Markup {
  const missing = entriesOf(entries, 'begin').flatMap((begin) => Object.entries(begin.missing));
  const skipped = entriesOf(entries, 'skipped');
  return table(
    ['fault', 'when', 'why'],
    [
      ...missing.map(([name, why]) => [name, 'not on this machine', why]),
      ...skipped.map(({ atMs, name, why }) => [name, secondsOf(atMs), why]),
    ],
  );
}

function operationsOf(entries: readonly LogEntry[]): Markup {
  const faults = entriesOf(entries, 'fault');
  const byKind = Map.groupBy(entriesOf(entries, 'operation'), ({ kind }) => kind);
  return table(
    ['kind', 'outcome', '#times', '#tried again', '#during a fault', '#median', '#slowest'],
    kindsOf(entries).flatMap((kind) =>
      [...Map.groupBy(byKind.get(kind) ?? [], ({ outcome }) => outcome)].map(([outcome, all]) => [
        kind,
        outcome,
        ...figuresOf(all, faults),
      ]),
    ),
  );
}

function figuresOf(operations: readonly EntryOf<'operation'>[], faults: readonly EntryOf<'fault'>[]): string[] {
  const took = operations.map(({ atMs, endedAtMs }) => endedAtMs - atMs).sort((a, b) => a - b);
  return [
    count(operations.length),
    count(operations.filter(({ attempts }) => attempts > 1).length),
    count(operations.filter((operation) => overlapsAny(operation, faults)).length),
    `${count(took[took.length >> 1] ?? 0)} ms`,
    `${count(largestOf(took))} ms`,
  ];
}

function convergenceOf(entries: readonly LogEntry[]): Markup {
  const [begin] = entriesOf(entries, 'begin');
  const afterMs = new Map(entriesOf(entries, 'converged').map((entry) => [entry.edge, entry.afterMs]));
  const edges = new Set([...(begin?.edges ?? []), ...afterMs.keys()]);
  return table(
    ['edge', '#had the catalog after'],
    [...edges].map((edge) => {
      const ms = afterMs.get(edge);
      return [edge, ms === undefined ? html`<span class="bad">never</span>` : secondsOf(ms)];
    }),
  );
}
