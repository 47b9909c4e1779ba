import { renderTable } from '../table.ts';
import type { Load } from './load.ts';

export interface Case {
  readonly name: string;
  /** The least share of another server's requests per second, by its name. */
  readonly targets: Readonly<Record<string, number>>;
}

/** What the servers did in one case, by their names. */
export interface Row extends Case {
  readonly servers: Readonly<Record<string, Load>>;
}

/** The servers side by side as a table. */
export function renderRows(rows: readonly Row[]): string {
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
  return renderTable(cells);
}
