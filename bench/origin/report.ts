import { describeMachine, firstLine, type Machine, nameMachine } from '../machine.ts';
import { renderTable } from '../table.ts';
import type { Load } from './load.ts';

/** One thing that both sides were asked to do. */
export interface Row {
  readonly name: string;
  /** Of one request, to tell MB/s; undefined where that says nothing. */
  readonly bytes?: number;
  /** What the ratio is made of: how many, or how soon. */
  readonly by: 'requestsPerSecond' | 'p50Ms';
  readonly sluice: Load;
  /** By the server's name. */
  readonly other: { readonly name: string; readonly load: Load } | undefined;
  /** The least number of times that Sluice has to be as fast. */
  readonly target: number;
}

export interface Report {
  readonly suite: string;
  readonly machine: Machine;
  readonly gateway: string;
  readonly rows: readonly Row[];
}

export function reportOf(suite: string, rows: readonly Row[]): Report {
  return { suite, machine: describeMachine(), gateway: firstLine('radosgw', '--version'), rows };
}

/** Times as fast as the other side; NaN without one. */
export function ratioOf({ by, sluice, other }: Row): number {
  if (other === undefined) return Number.NaN;
  return by === 'p50Ms' ? other.load.p50Ms / sluice.p50Ms : sluice.requestsPerSecond / other.load.requestsPerSecond;
}

/** The sides below each other, under what was done. */
export function renderReport({ machine, gateway, rows }: Report, how: string): string {
  const cells = [
    ['measured', 'server', 'requests/s', 'MB/s', 'p50 ms', 'p99 ms', 'server CPU ms', 'client CPU ms', 'Sluice is', 'target', 'met'],
  ];
  for (const row of rows) {
    const ratio = ratioOf(row);
    const compared = Number.isNaN(ratio)
      ? ['–', `≥ ${row.target}×`, '–']
      : [`${ratio.toFixed(2)}×`, `≥ ${row.target}×`, ratio >= row.target ? 'yes' : 'NO'];
    cells.push([row.name, 'Sluice', ...figuresOf(row.sluice, row.bytes), ...compared]);
    if (row.other !== undefined) cells.push([row.name, row.other.name, ...figuresOf(row.other.load, row.bytes), '', '', '']);
  }
  return `${how}\n${nameMachine(machine)}, ${machine.natsServer}, ${gateway}\n\n${renderTable(cells)}\n`;
}

function figuresOf({ requestsPerSecond, p50Ms, p99Ms, serverCpuMs, clientCpuMs }: Load, bytes: number | undefined): string[] {
  const megabytes = bytes === undefined ? '' : ((requestsPerSecond * bytes) / 1e6).toFixed(0);
  return [short(requestsPerSecond), megabytes, short(p50Ms), short(p99Ms), short(serverCpuMs), short(clientCpuMs)];
}

/** Three digits or so. */
function short(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3);
}
