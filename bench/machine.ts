import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, getPriority, loadavg, release, totalmem } from 'node:os';

/** What a figure was measured on. */
export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly natsServer: string;
  readonly rsync: string;
}

export function describeMachine(): Machine {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    node: process.version,
    natsServer: firstLine('nats-server', '--version'),
    rsync: firstLine('rsync', '--version'),
  };
}

/** The first line that a command prints of its version, on whichever output it does so. */
export function firstLine(command: string, ...args: string[]): string {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  return error === undefined ? ((stdout || stderr).split('\n')[0]?.trim() ?? '') : 'not installed';
}

/** Resident memory of a process now, in bytes; 0 when it cannot be told. */
export function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** One line that says what a figure was measured on, how busy that was by the end, and whether the bench went before what else ran there. */
export function nameMachine({ date, cpu, cores, kernel, node }: Machine): string {
  const priority = getPriority() === 0 ? '' : ` with nice ${getPriority()}`;
  return `${date}, ${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}; load average at the end ${loadavg()[0]?.toFixed(1)}${priority}`;
}
