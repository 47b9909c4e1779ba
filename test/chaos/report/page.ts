/** A run as a page that needs nothing else: a plot of what broke, what was done and what was read, and below it everything in words. */
import type { LogEntry } from './run-log.ts';
import { problemsOf, summarize } from './summary.ts';

const WIDTH = 1_000;
const LANE = 20;
const CURVE = 70;
const LEFT = 190;

type Of<Type extends LogEntry['type']> = Extract<LogEntry, { type: Type }>;

export function pageOf(entries: readonly LogEntry[]): string {
  const of = <Type extends LogEntry['type']>(type: Type): Of<Type>[] => entries.filter((entry): entry is Of<Type> => entry.type === type);
  const summary = summarize(entries);
  const problems = problemsOf(summary);
  const count = (number: number): string => number.toLocaleString('en-GB');
  const [begin] = of('begin');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chaos, seed ${summary.seed}: ${problems.length === 0 ? 'every promise kept' : `${problems.length} problems`}</title>
<style>${STYLE}</style>
<h1>Seed ${summary.seed}: ${problems.length === 0 ? 'every promise was kept' : `<span class="bad">${count(problems.length)} problems</span>`}</h1>
<p>${escaped(begin?.startedAt ?? '')}, ${count(summary.seconds)} s. ${count(summary.reads)} answers checked, ${count(summary.excused)} requests without one while something was broken.
${count(summary.operations)} operations, ${count(summary.overlapped)} of them during a fault. Every edge had the catalog ${(summary.slowestConvergenceMs / 1000).toFixed(1)} s after everything ran again.</p>
<figure>${plotOf(of('fault'), of('operation'), of('second'), of('violation'), (of('end')[0]?.atMs ?? 0) + 1)}</figure>
${problems.length === 0 ? '' : `<h2>Problems</h2><ol>${problems.map((problem) => `<li class="bad">${escaped(problem)}</li>`).join('')}</ol>`}
<h2>Faults</h2>
${table(
  ['from', 'to', 'fault', 'struck'],
  of('fault').map(({ atMs, healedAtMs, name, what }) => [seconds(atMs), seconds(healedAtMs), name, what]),
)}
${table(['not here', 'why'], [...Object.entries(summary.skipped), ...of('skipped').map(({ atMs, name, why }): [string, string] => [`${name} at ${seconds(atMs)}`, why])])}
<h2>Operations</h2>
${table(['operation', 'times', 'tried again', 'slowest'], kindsOf(of('operation')))}
<h2>Edges</h2>
${table(
  ['edge', 'had the catalog after'],
  of('converged').map(({ edge, afterMs }) => [edge, `${(afterMs / 1000).toFixed(1)} s`]),
)}
</html>
`;
}

function kindsOf(operations: readonly Of<'operation'>[]): string[][] {
  return [...Map.groupBy(operations, ({ kind }) => kind)].map(([kind, all]) => [
    kind,
    String(all.length),
    String(all.filter(({ attempts }) => attempts > 1).length),
    `${Math.max(...all.map(({ atMs, endedAtMs }) => endedAtMs - atMs))} ms`,
  ]);
}

/** Time runs to the right: a lane for each kind of fault, ticks for operations, curves for answers each second and their latency, and violations across all. */
function plotOf(
  faults: readonly Of<'fault'>[],
  operations: readonly Of<'operation'>[],
  perSecond: readonly Of<'second'>[],
  violations: readonly Of<'violation'>[],
  endMs: number,
): string {
  const x = (ms: number): number => Math.round((LEFT + (ms / endMs) * (WIDTH - LEFT - 10)) * 10) / 10;
  const lanes = [...Map.groupBy(faults, ({ name }) => name)];
  const below = lanes.length * LANE + 10;
  const label = (y: number, text: string): string => `<text x="${LEFT - 8}" y="${y}" text-anchor="end">${escaped(text)}</text>`;
  const bars = lanes.flatMap(([name, strikes], lane) => [
    label(lane * LANE + 14, name),
    ...strikes.map(
      ({ atMs, healedAtMs, what }) =>
        `<rect class="fault" x="${x(atMs)}" y="${lane * LANE + 3}" width="${Math.max(2, x(healedAtMs) - x(atMs))}" height="${LANE - 6}" rx="3"><title>${escaped(`${what}, ${seconds(atMs)} to ${seconds(healedAtMs)}`)}</title></rect>`,
    ),
  ]);
  const ticks = operations.map(({ atMs, endedAtMs, kind }) => {
    const isSlow = endedAtMs - atMs > 1_000;
    return `<line class="operation ${escaped(kind)}${isSlow ? ' slow' : ''}" x1="${x(atMs)}" x2="${x(isSlow ? endedAtMs : atMs)}" y1="${below + 4}" y2="${below + (isSlow ? 4 : 18)}"/>`;
  });
  const curve = (top: number, name: string, unit: string, value: (second: Of<'second'>) => number): string[] => {
    const max = Math.max(1, ...perSecond.map(value));
    const points = perSecond.map((second) => `${x(second.atMs)},${Math.round(top + CURVE - (value(second) / max) * (CURVE - 12))}`);
    return [
      label(top + CURVE / 2, name),
      label(top + CURVE / 2 + 14, `up to ${max.toLocaleString('en-GB')} ${unit}`),
      `<polyline class="curve" points="${points.join(' ')}"/>`,
    ];
  };
  const height = below + 30 + 3 * CURVE + 24;
  const marks = violations.map(
    ({ atMs, what }) =>
      `<line class="violation" x1="${x(atMs)}" x2="${x(atMs)}" y1="0" y2="${height - 20}"><title>${escaped(what)}</title></line>`,
  );
  const step = endMs > 240_000 ? 60_000 : endMs > 60_000 ? 10_000 : 5_000;
  const axis = Array.from({ length: Math.floor(endMs / step) + 1 }, (_, index) => index * step).map(
    (ms) =>
      `<line class="grid" x1="${x(ms)}" x2="${x(ms)}" y1="0" y2="${height - 20}"/><text x="${x(ms)}" y="${height - 4}" text-anchor="middle">${ms / 1000} s</text>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="What broke, what was done and what was read, over time">
${[...axis, ...bars, label(below + 16, 'operations'), ...ticks].join('\n')}
${curve(below + 24, 'answers a second', '', ({ reads }) => reads).join('\n')}
${curve(below + 24 + CURVE, 'p99 of answers', 'ms', ({ p99Ms }) => p99Ms).join('\n')}
${curve(below + 24 + 2 * CURVE, 'largest process', 'MB', ({ rssBytes }) => Math.round(Math.max(0, ...Object.values(rssBytes)) / 1e6)).join('\n')}
${marks.join('\n')}
</svg>`;
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const row = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<div class="wide"><table>${row(heads, 'th')}${rows.map((cells) => row(cells, 'td')).join('\n')}</table></div>`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1c1e21, #e6e6e6); --paper: light-dark(#fff, #16181b); --faint: light-dark(#e3e5e8, #2c3036);
  --fault: light-dark(#d9822b, #e8a15a); --curve: light-dark(#2266aa, #7ab4f0); --bad: light-dark(#c0182b, #ff6b78); --done: light-dark(#4a7a4a, #8fc08f); }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } figure { margin: 1rem 0; overflow-x: auto; }
svg { min-width: 720px; width: 100%; } svg text { font-size: 11px; fill: var(--ink); } .grid { stroke: var(--faint); }
.fault { fill: var(--fault); } .operation { stroke: var(--done); stroke-width: 1; } .operation.slow { stroke-width: 4; opacity: .5; } .operation.invalidate { stroke: var(--curve); }
.curve { fill: none; stroke: var(--curve); stroke-width: 1.5; } .violation { stroke: var(--bad); stroke-width: 1.5; } .bad { color: var(--bad); }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .5rem 0; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--faint); vertical-align: top; }
`;
