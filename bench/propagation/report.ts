import type { Machine } from '../machine.ts';
import { renderTable } from '../table.ts';

interface Figures {
  readonly p50: number;
  readonly p99?: number;
}

/** One line of the table. */
export interface Row {
  readonly name: string;
  readonly unit: 'ms' | 'objects/s';
  readonly better: 'lower' | 'higher';
  readonly sluice: Figures;
  readonly rsync: Figures | undefined;
  /** Content bytes that went to the edges, all together. */
  readonly movedBytes: number;
  readonly target: string;
  readonly met: boolean;
}

export interface Report {
  readonly suite: string;
  readonly machine: Machine;
  readonly edges: number;
  readonly warmUpObjects: number;
  readonly rows: readonly Row[];
}

/** The table as Markdown, which also reads well on a terminal. */
export function renderReport({ machine, edges, warmUpObjects, rows }: Report): string {
  const cells = [
    ['measured', 'unit', 'Sluice p50', 'p99', 'rsync p50', 'p99', 'ratio', 'moved', 'target', 'met'],
    ...rows.map((row) => [
      row.name,
      row.unit,
      figure(row.sluice.p50),
      figure(row.sluice.p99),
      figure(row.rsync?.p50),
      figure(row.rsync?.p99),
      ratio(row),
      `${(row.movedBytes / 1e6).toFixed(0)} MB`,
      row.target,
      row.met ? 'yes' : 'NO',
    ]),
  ];
  const versions = `${machine.date}, ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, Linux ${machine.kernel}, Node ${machine.node}, ${machine.natsServer}, ${machine.rsync}`;
  return `${edges} edges and rsync to ${edges} targets in parallel, on one machine in one run, after ${warmUpObjects} objects to warm up.\n${versions}\n\n${renderTable(cells)}\n`;
}

function figure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

/** How many times better Sluice is than rsync; below 1 it is worse. */
function ratio({ better, sluice, rsync }: Row): string {
  if (rsync === undefined) return '–';
  return `${(better === 'lower' ? rsync.p50 / sluice.p50 : sluice.p50 / rsync.p50).toFixed(1)}×`;
}
