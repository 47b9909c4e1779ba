/** A run as a picture: time runs to the right, and what was broken, done, read and used stands below each other. Pure. */
import { html, type Markup, NOTHING } from './html.ts';
import type { LogEntry } from './run-log.ts';
import { type EntryOf, entriesOf } from './summary.ts';

const WIDTH = 1_100;
const LEFT = 150;
const RIGHT = 16;
const BAR = 16;
const TICKS = 16;
const CURVE = 84;
const GAP = 18;
/** A letter of the labels, on the average and rather too wide. */
const LETTER = 6.2;
/** An operation that takes longer has a length that can be seen. */
const LONG_MS = 1_000;
/** Before they begin again. */
export const COLOURS = 8;
const AXIS_STEPS_S = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600];
const AXIS_LABELS_MAX = 12;

/** The part that a fault strikes, from what is said of it: `disk of edge us-1, 20 operations/s` and `edge us-1 → origin, 200 ms` both strike `edge us-1`. */
export function partOf(what: string): string {
  const [part] = what.split(' → ') as [string];
  return part.replace(/^(disk|clock) of /, '').replace(/, [-+]?\d.*$/s, '');
}

/** The class of the nth colour; they begin again when there are no more. */
export function colourOf(index: number): string {
  return `c${index % COLOURS}`;
}

export function secondsOf(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Names of the kinds of operations and of the processes, in the order of their colours. */
export function kindsOf(entries: readonly LogEntry[]): string[] {
  return [...new Set(entriesOf(entries, 'operation').map(({ kind }) => kind))].sort();
}
export function processesOf(entries: readonly LogEntry[]): string[] {
  return [...new Set(entriesOf(entries, 'second').flatMap(({ rssBytes }) => Object.keys(rssBytes)))].sort();
}

/** One above the other, from the top; each takes the height it needs. */
interface Band {
  readonly height: number;
  readonly draw: (top: number) => Markup;
}

/** An `<svg>`. Violations are links to `#violation-<number>`, from 1, in the order of the log. */
export function plotOf(entries: readonly LogEntry[]): Markup {
  const endMs = Math.max(1, largestOf(entries.map(endOf)));
  const x = (ms: number): number => Math.round((LEFT + (ms / endMs) * (WIDTH - LEFT - RIGHT)) * 10) / 10;
  const bands = [...faultBands(entries, x), ...operationBands(entries, x), ...curveBands(entries, x)];
  const top = 26;
  const bottom = bands.reduce((sum, { height }) => sum + height, top);
  let at = top;
  const drawn = bands.map(({ height, draw }) => {
    const markup = draw(at);
    at += height;
    return markup;
  });
  const marks = entriesOf(entries, 'violation').map((violation, index) => {
    const [on, { atMs, invariant, what }] = [x(violation.atMs), violation];
    return html`<a class="violation" href="#violation-${index + 1}"><line x1="${on}" x2="${on}" y1="${top - 8}" y2="${bottom}"/><path d="M${on - 6} ${top - 20}h12l-6 12z"/><title>${invariant} at ${secondsOf(atMs)}: ${what}</title></a>`;
  });
  return html`<svg viewBox="0 0 ${WIDTH} ${bottom + 22}" role="img" aria-label="What was broken, done, read and used over time">
${axis(endMs, x, top, bottom)}
${drawn}
${marks}
</svg>`;
}

function endOf(entry: LogEntry): number {
  if (entry.type === 'fault') return entry.healedAtMs;
  if (entry.type === 'operation') return entry.endedAtMs;
  return 'atMs' in entry ? entry.atMs : 0;
}

function axis(endMs: number, x: (ms: number) => number, top: number, bottom: number): Markup[] {
  const stepS = AXIS_STEPS_S.find((step) => endMs / 1000 / step <= AXIS_LABELS_MAX) ?? Math.ceil(endMs / 1000 / AXIS_LABELS_MAX);
  return Array.from({ length: Math.floor(endMs / 1000 / stepS) + 1 }, (_, index) => {
    const on = x(index * stepS * 1000);
    const text = stepS >= 60 ? `${(index * stepS) / 60} min` : `${index * stepS} s`;
    return html`<line class="grid" x1="${on}" x2="${on}" y1="${top}" y2="${bottom}"/><text x="${on}" y="${bottom + 16}" text-anchor="middle">${text}</text>`;
  });
}

function nameOf(text: string, y: number, isFaint = false): Markup {
  const most = Math.floor((LEFT - 14) / LETTER);
  const shown = text.length > most ? `${text.slice(0, most - 1)}…` : text;
  return html`<text class="${isFaint ? 'faint' : 'name'}" x="${LEFT - 10}" y="${y}" text-anchor="end">${shown}</text>`;
}

/** A lane for each part that was struck. Where several faults strike it at once they stand below each other. */
function faultBands(entries: readonly LogEntry[], x: (ms: number) => number): Band[] {
  const lanes = Map.groupBy(entriesOf(entries, 'fault'), ({ what }) => partOf(what));
  const bands = [...lanes].sort(([a], [b]) => a.localeCompare(b)).map(([part, faults]) => laneOf(part, faults, x));
  return bands.length === 0 ? [] : [...bands, { height: GAP, draw: () => NOTHING }];
}

function laneOf(part: string, faults: readonly EntryOf<'fault'>[], x: (ms: number) => number): Band {
  /** Until when each row is taken. */
  const rows: number[] = [];
  const placed = faults
    .toSorted((a, b) => a.atMs - b.atMs)
    .map((fault) => {
      const free = rows.findIndex((untilMs) => untilMs < fault.atMs);
      const row = free < 0 ? rows.length : free;
      rows[row] = fault.healedAtMs;
      return { fault, row };
    });
  return {
    height: rows.length * (BAR + 2) + 6,
    draw: (top) => {
      const bars = placed.map(({ fault: { atMs, healedAtMs, name, what }, row }) => {
        const [left, y] = [x(atMs), top + 3 + row * (BAR + 2)];
        const width = Math.max(3, Math.round((x(healedAtMs) - left) * 10) / 10);
        const shown = name.length * LETTER + 8 <= width ? html`<text x="${left + 4}" y="${y + 12}">${name}</text>` : NOTHING;
        return html`<g class="fault"><rect x="${left}" y="${y}" width="${width}" height="${BAR}" rx="3"/>${shown}<title>${name}: ${what}, ${secondsOf(atMs)} to ${secondsOf(healedAtMs)}</title></g>`;
      });
      return html`${nameOf(part, top + 15)}${bars}<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${top + 1}" y2="${top + 1}"/>`;
    },
  };
}

/** A row for each kind of operation: a tick when it began, and a bar as long as it took where that was long. However long a run is, there is one tick for each pixel. */
function operationBands(entries: readonly LogEntry[], x: (ms: number) => number): Band[] {
  const byKind = Map.groupBy(entriesOf(entries, 'operation'), ({ kind }) => kind);
  return kindsOf(entries).map((kind, index, kinds) => ({
    height: TICKS + (index === kinds.length - 1 ? GAP : 0),
    draw: (top) => {
      const operations = byKind.get(kind) ?? [];
      const ticks = [...new Set(operations.map(({ atMs }) => Math.round(x(atMs))))].map((on) => `M${on} ${top + 3}v${TICKS - 6}`);
      const long = operations.filter(({ atMs, endedAtMs }) => endedAtMs - atMs > LONG_MS);
      const spans = new Map(long.map(({ atMs, endedAtMs }) => [`${Math.round(x(atMs))} ${Math.round(x(endedAtMs))}`, true]));
      const bars = [...spans.keys()].map((span) => span.split(' ').map(Number) as [number, number]);
      return html`${nameOf(kind, top + 12)}<g class="${colourOf(index)}"><path class="span" d="${bars.map(([from, to]) => `M${from} ${top + 8}H${to}`).join('')}"/><path class="tick" d="${ticks.join('')}"/><title>${kind}: ${operations.length}</title></g>`;
    },
  }));
}

function curveBands(entries: readonly LogEntry[], x: (ms: number) => number): Band[] {
  const perSecond = entriesOf(entries, 'second');
  if (perSecond.length === 0) return [];
  const processes = processesOf(entries);
  const reads = largestOf(perSecond.map((each) => each.reads));
  const latency = largestOf(perSecond.map(({ p99Ms }) => p99Ms));
  const megabytes = largestOf(perSecond.flatMap(({ rssBytes }) => Object.values(rssBytes))) / 1e6;
  // Each tenfold is as high as the one before: one second of waiting would else make all the others flat.
  const logarithm = (ms: number): number => Math.log10(1 + ms) / Math.log10(1 + Math.max(1, latency));
  const count = (number: number): string => Math.round(number).toLocaleString('en-GB');
  return [
    curveBand('answers/s', `up to ${count(reads)}`, [
      ['area c0', 'answers a second', points(perSecond, x, (each) => each.reads / Math.max(1, reads))],
    ]),
    curveBand('latency', `p99 up to ${count(latency)} ms`, [
      ['curve c1', 'p99 in ms, logarithmic', points(perSecond, x, (each) => (each.reads === 0 ? undefined : logarithm(each.p99Ms)))],
      ['curve thin c1', 'p50 in ms, logarithmic', points(perSecond, x, (each) => (each.reads === 0 ? undefined : logarithm(each.p50Ms)))],
    ]),
    curveBand(
      'memory (RSS)',
      `up to ${count(megabytes)} MB`,
      processes.map((name, index) => {
        const share = ({ rssBytes }: EntryOf<'second'>): number | undefined => {
          const bytes = Object.hasOwn(rssBytes, name) ? rssBytes[name] : undefined;
          return bytes === undefined ? undefined : bytes / 1e6 / Math.max(1, megabytes);
        };
        return [`curve ${colourOf(index)}${index < COLOURS ? '' : ' dashed'}`, name, points(perSecond, x, share)];
      }),
    ),
  ];
}

/** Stretches of `[x, share of the height]`. A second without a value parts them: a process that does not run uses nothing. */
function points(
  perSecond: readonly EntryOf<'second'>[],
  x: (ms: number) => number,
  shareOf: (second: EntryOf<'second'>) => number | undefined,
): [number, number][][] {
  const stretches: [number, number][][] = [[]];
  for (const second of perSecond) {
    const share = shareOf(second);
    if (share === undefined) stretches.push([]);
    else stretches.at(-1)?.push([x(second.atMs), share]);
  }
  return stretches.filter(({ length }) => length > 0);
}

function curveBand(name: string, note: string, curves: readonly (readonly [string, string, [number, number][][]])[]): Band {
  return {
    height: CURVE + GAP,
    draw: (top) => {
      const floor = top + CURVE;
      const y = (share: number): number => Math.round((floor - share * (CURVE - 8)) * 10) / 10;
      const lines = curves.map(([style, title, stretches]) => {
        const isArea = style.startsWith('area');
        const path = stretches.map((stretch) => {
          const line = stretch.map(([on, share]) => `${on} ${y(share)}`).join('L');
          const [from, to] = [stretch[0]?.[0] ?? 0, stretch.at(-1)?.[0] ?? 0];
          // A single value has no length of its own.
          return isArea ? `M${from} ${floor}L${line}L${to} ${floor}Z` : `M${line}h${stretch.length === 1 ? 1 : 0}`;
        });
        return html`<path class="${style}" d="${path.join('')}"><title>${title}</title></path>`;
      });
      return html`${nameOf(name, top + CURVE / 2)}${nameOf(note, top + CURVE / 2 + 15, true)}<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${floor}" y2="${floor}"/>${lines}`;
    },
  };
}

/** 0 of none. A run of hours has more operations than a call may have arguments. */
export function largestOf(numbers: readonly number[]): number {
  return numbers.reduce((largest, number) => Math.max(largest, number), 0);
}
