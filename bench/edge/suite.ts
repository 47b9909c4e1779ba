/** What an edge does under load, beside nginx and Varnish, and what it costs to be large. */
import { type BenchOptions, say } from '../publish.ts';
import { distinctObjects } from './distinct-objects.ts';
import { hitRatios } from './hit-ratios.ts';
import { hits } from './hits.ts';
import { idleConnections } from './idle-connections.ts';
import { largeIndex } from './large-index.ts';
import { pushes } from './pushes.ts';
import { isInstalled } from './servers.ts';

interface Part {
  run(options: BenchOptions): Promise<void>;
  /** Commands without which it cannot run. */
  readonly needs: readonly string[];
}

const PARTS: Readonly<Record<string, Part>> = {
  hits: { run: hits, needs: ['wrk', 'taskset'] },
  zipf: { run: distinctObjects, needs: ['wrk', 'taskset'] },
  pushes: { run: pushes, needs: ['taskset'] },
  ratios: { run: hitRatios, needs: [] },
  index: { run: largeIndex, needs: [] },
  idle: { run: idleConnections, needs: [] },
};
export const EDGE_PARTS: readonly string[] = Object.keys(PARTS);

/** Runs the named parts, all without a name. What is not installed is named and left out. */
export async function edge(options: BenchOptions, names: readonly string[]): Promise<void> {
  for (const [name, { run, needs }] of Object.entries(PARTS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const missing = needs.filter((command) => !isInstalled('which', command));
    if (missing.length === 0) await run(options);
    else say(`${name} is left out, because ${missing.join(' and ')} cannot be found; on Debian: apt-get install ${missing.join(' ')}`);
  }
}
