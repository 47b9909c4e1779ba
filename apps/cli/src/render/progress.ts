/** Progress while a command works: bars on a terminal, lines elsewhere, nothing for programs. */
import { MultiBar, type Options, type SingleBar } from 'cli-progress';
import type { DistributionState } from '../domain/distribution-state.ts';
import { RegionTally } from '../domain/region-tally.ts';
import { outcomeText } from './distribution.ts';
import { bytes } from './quantity.ts';
import type { Terminal } from './terminal.ts';

export interface UploadProgress {
  add(sizeBytes: number): void;
  stop(): void;
}

export interface DistributionProgress {
  /** Takes a newer state of an event. */
  update(state: DistributionState): void;
  stop(): void;
}

const NOTHING = { add() {}, update() {}, stop() {} };
/** One bar each for more regions than this would not fit a terminal; the rest share the summary's line. */
const BARS_MAX = 20;

function barOptions(terminal: Terminal): Options {
  return {
    stream: terminal.stderr,
    hideCursor: true,
    clearOnComplete: false,
    emptyOnZero: true,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
  };
}

/** Fewer bytes than this are gone before a bar could be read. */
const UPLOAD_BAR_MIN_BYTES = 4 * 1024 * 1024;

/** One bar over all bytes. */
export function uploadProgress(terminal: Terminal, totalBytes: number): UploadProgress {
  if (!terminal.interactive || totalBytes < UPLOAD_BAR_MIN_BYTES) return NOTHING;
  const bars = new MultiBar({
    ...barOptions(terminal),
    format: 'uploading  {bar} {percentage}%  {value} of {total}',
    formatValue: (value, _options, type) => (type === 'value' || type === 'total' ? bytes(value) : String(value)),
  });
  const bar = bars.create(totalBytes, 0);
  return { add: (sizeBytes) => bar.increment(sizeBytes), stop: () => bars.stop() };
}

/** A bar per region on a terminal. Elsewhere a line per edge; with `missesOnly` (many events) only for those that were given up. */
export function distributionProgress(terminal: Terminal, missesOnly: boolean): DistributionProgress {
  if (terminal.json) return NOTHING;
  return terminal.interactive ? new RegionBars(terminal) : new OutcomeLines(terminal, missesOnly);
}

class RegionBars implements DistributionProgress {
  readonly #tally = new RegionTally();
  readonly #bars = new Map<string, SingleBar>();
  readonly #multiBar: MultiBar;

  constructor(terminal: Terminal) {
    this.#multiBar = new MultiBar({ ...barOptions(terminal), format: '{region} {bar} {value}/{total}  {note}' });
  }

  update(state: DistributionState): void {
    this.#tally.update(state);
    for (const [region, { targets, confirmed, missed }] of this.#tally.regions) {
      const bar = this.#barOf(region);
      bar?.setTotal(targets);
      bar?.update(confirmed, { note: missed === 0 ? '' : `${missed} missed` });
    }
  }

  #barOf(region: string): SingleBar | undefined {
    const known = this.#bars.get(region);
    if (known !== undefined || this.#bars.size >= BARS_MAX) return known;
    const bar = this.#multiBar.create(0, 0, { region: region.padEnd(9), note: '' });
    this.#bars.set(region, bar);
    return bar;
  }

  stop(): void {
    this.#multiBar.stop();
  }
}

class OutcomeLines implements DistributionProgress {
  readonly #terminal: Terminal;
  readonly #missesOnly: boolean;
  /** Event and edge of each line, so that a repeated state repeats no line. One event's, or only the misses. */
  readonly #shown = new Set<string>();

  constructor(terminal: Terminal, missesOnly: boolean) {
    this.#terminal = terminal;
    this.#missesOnly = missesOnly;
  }

  update({ id, subject, edges }: DistributionState): void {
    for (const outcome of edges) {
      const missed = outcome.outcome === 'unreachable' || outcome.outcome === 'deferred' || outcome.outcome === 'failed';
      const line = `${id} ${outcome.edge}`;
      if ((this.#missesOnly && !missed) || this.#shown.has(line)) continue;
      this.#shown.add(line);
      this.#terminal.note(`${this.#missesOnly ? `${subject}: ` : ''}${outcome.edge} (${outcome.region}) ${outcomeText(outcome)}`);
    }
  }

  stop(): void {}
}
