import type { Machine } from '../machine.ts';
import { renderTable } from '../table.ts';
import type { Load } from './load.ts';

export interface Case {
  readonly name: string;
  /** The least share of another server's requests per second, by its name. */
  readonly targets: Readonly<Record<string, number>>;
}

export interface Report {
  readonly suite: string;
  readonly machine: Machine;
  readonly versions: readonly string[];
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly rows: readonly (Case & { readonly servers: Readonly<Record<string, Load>> })[];
}

/** The table as Markdown, which also reads well on a terminal. */
export function renderReport({ machine, versions, connections, rounds, seconds, rows }: Report): string {
  const cells = [['hit of', 'server', 'requests/s', 'MB/s', 'p50 ms', 'p99 ms', 'Sluice is', 'target', 'met']];
  for (const { name, servers, targets } of rows) {
    const own = servers.Sluice?.requestsPerSecond ?? Number.NaN;
    for (const [server, measured] of Object.entries(servers)) {
      const target = targets[server];
      const ratio = own / measured.requestsPerSecond;
      cells.push([
        name,
        server,
        measured.requestsPerSecond.toFixed(0),
        measured.megabytesPerSecond.toFixed(0),
        measured.p50Ms.toFixed(2),
        measured.p99Ms.toFixed(2),
        target === undefined ? '' : `${ratio.toFixed(2)}×`,
        target === undefined ? '' : `≥ ${target}`,
        target === undefined ? '' : ratio >= target ? 'yes' : 'NO',
      ]);
    }
  }
  const head = `One core for each server in turn, wrk on the other with ${connections} connections; medians of ${rounds} rounds of ${seconds} s.`;
  const place = `${machine.date}, ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, ${versions.join(', ')}`;
  return `${head}\n${place}\n\n${renderTable(cells)}\n`;
}
