/** Sends requests that were written down, and says what that took: by the clock, and of the processors of the machine. */
import { percentile } from '../statistics.ts';
import { Connection, type WrittenRequest } from './connection.ts';
import { cpuMsOf } from './process-time.ts';
import type { Reply } from './reply.ts';
import type { Side } from './side.ts';

/** What a number of requests took. */
export interface Load {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of all processes of the side, by request. */
  readonly serverCpuMs: number;
  /** That of the client, by request. */
  readonly clientCpuMs: number;
}

/** @throws when an answer is not as it should be, so that nobody is fast by failing */
export type Check = (reply: Reply) => void;

export const mustBe200: Check = ({ status, text }) => {
  if (status !== 200) throw new Error(`${status} ${text.slice(0, 1_000)}`);
};

/** Sends each request once, `inFlight` at a time over as many connections. */
export async function load(side: Side, requests: readonly WrittenRequest[], inFlight: number, check: Check = mustBe200): Promise<Load> {
  const connections = await Promise.all(Array.from({ length: inFlight }, () => Connection.open(side.port)));
  try {
    const tookMs: number[] = [];
    const waiting = requests.values();
    const [serverBefore, clientBefore, startedAt] = [cpuMsOf(side.pids), process.cpuUsage(), performance.now()];
    await Promise.all(
      connections.map(async (connection) => {
        for (const request of waiting) {
          const sentAt = performance.now();
          const reply = await connection.send(request);
          tookMs.push(performance.now() - sentAt);
          check(reply);
        }
      }),
    );
    const seconds = (performance.now() - startedAt) / 1000;
    const client = process.cpuUsage(clientBefore);
    return {
      requestsPerSecond: requests.length / seconds,
      p50Ms: percentile(tookMs, 0.5),
      p99Ms: percentile(tookMs, 0.99),
      serverCpuMs: (cpuMsOf(side.pids) - serverBefore) / requests.length,
      clientCpuMs: (client.user + client.system) / 1000 / requests.length,
    };
  } finally {
    for (const connection of connections) connection[Symbol.dispose]();
  }
}

/** Of several rounds, each figure by itself. */
export function medianOf(rounds: readonly Load[]): Load {
  const median = (pick: (round: Load) => number): number => percentile(rounds.map(pick), 0.5);
  return {
    requestsPerSecond: median((round) => round.requestsPerSecond),
    p50Ms: median((round) => round.p50Ms),
    p99Ms: median((round) => round.p99Ms),
    serverCpuMs: median((round) => round.serverCpuMs),
    clientCpuMs: median((round) => round.clientCpuMs),
  };
}

/** Sends one request on a connection of its own. @throws when the answer is not as `check` wants it */
export async function ask(port: number, request: WrittenRequest, check: Check = mustBe200): Promise<Reply> {
  using connection = await Connection.open(port);
  const reply = await connection.send(request);
  check(reply);
  return reply;
}
