import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { percentile } from '../statistics.ts';

const run = promisify(execFile);

/** What one server did under one load. */
export interface Load {
  readonly requestsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly core: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of wrk, in Lua: what to ask for instead of the URL alone. */
  readonly script?: { readonly path: string; readonly args: readonly string[] };
}

/** Loads a URL with wrk on one core. @throws when a response was an error, so that no server is fast by failing */
export async function load({ url, connections, seconds, core, headers = {}, script }: LoadOptions): Promise<Load> {
  const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const args = ['-c', String(core), 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '--timeout', '20s', ...fields];
  const asked = script === undefined ? [url] : ['-s', script.path, url, '--', ...script.args];
  const { stdout } = await run('taskset', [...args, ...asked]);
  const errors = /Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)/.exec(stdout)?.[0];
  if (errors !== undefined) throw new Error(`${url}: ${errors}`);
  return {
    requestsPerSecond: number(stdout, /Requests\/sec:\s+([\d.]+)/),
    megabytesPerSecond: bytes(stdout, /Transfer\/sec:\s+([\d.]+)([KMG]?)B/) / 1e6,
    p50Ms: milliseconds(stdout, /50%\s+([\d.]+)(us|ms|s)/),
    p99Ms: milliseconds(stdout, /99%\s+([\d.]+)(us|ms|s)/),
  };
}

function number(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? Number.NaN);
}

function bytes(text: string, pattern: RegExp): number {
  const [, value, unit = ''] = pattern.exec(text) ?? [];
  return Number(value) * ({ K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[unit] ?? 1);
}

function milliseconds(text: string, pattern: RegExp): number {
  const [, value, unit = 'ms'] = pattern.exec(text) ?? [];
  return Number(value) * ({ us: 1e-3, ms: 1, s: 1e3 }[unit] ?? 1);
}

/** Of several rounds, each figure by itself. */
export function medianOf(samples: readonly Load[]): Load {
  const median = (pick: (sample: Load) => number): number => percentile(samples.map(pick), 0.5);
  return {
    requestsPerSecond: median((sample) => sample.requestsPerSecond),
    megabytesPerSecond: median((sample) => sample.megabytesPerSecond),
    p50Ms: median((sample) => sample.p50Ms),
    p99Ms: median((sample) => sample.p99Ms),
  };
}
