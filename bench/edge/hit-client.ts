/**
 * Asks for objects at a fixed rate over kept connections, and prints how long the answers took: a process of its own, so that it can be given a core.
 * The time of an answer begins when the request was due, also when no connection was free for it.
 */
import { connect, type Socket } from 'node:net';
import { percentile } from '../statistics.ts';

export interface HitClientOptions {
  readonly port: number;
  readonly paths: readonly string[];
  /** Of every answer. */
  readonly bodyBytes: number;
  readonly connections: number;
  readonly requestsPerSecond: number;
  readonly seconds: number;
}

export interface Latencies {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const TICK_MS = 1;

export async function measureHits({
  port,
  paths,
  bodyBytes,
  connections,
  requestsPerSecond,
  seconds,
}: HitClientOptions): Promise<Latencies> {
  const messages = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const tookMs: number[] = [];
  const due: number[] = [];
  const idle: ((dueAtMs: number) => void)[] = [];
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const { promise: allAnswered, resolve: settle } = Promise.withResolvers<void>();
  const total = Math.round(requestsPerSecond * seconds);
  let sent = 0;

  const open = async (): Promise<Socket> => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    let [dueAtMs, received] = [0, ''];
    const send = (from: number): void => {
      dueAtMs = from;
      socket.write(messages[sent++ % messages.length] as string);
    };
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      received += text;
      const body = received.indexOf('\r\n\r\n') + 4;
      if (body < 4 || received.length < body + bodyBytes) return;
      if (!received.startsWith('HTTP/1.1 200 ')) reject(new Error(received.slice(0, body)));
      received = '';
      tookMs.push(performance.now() - dueAtMs);
      if (tookMs.length === total) settle();
      const waiting = due.shift();
      if (waiting === undefined) idle.push(send);
      else send(waiting);
    });
    socket.once('error', reject);
    socket.once('end', () => reject(new Error('the edge has closed a connection')));
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    idle.push(send);
    return socket;
  };
  const sockets = await Promise.all(Array.from({ length: connections }, open));

  const startedAtMs = performance.now();
  let begun = 0;
  const ticker = setInterval(() => {
    const nowMs = performance.now();
    const until = Math.min(total, Math.floor(((nowMs - startedAtMs) * requestsPerSecond) / 1000));
    for (; begun < until; begun += 1) {
      const send = idle.shift();
      if (send === undefined) due.push(nowMs);
      else send(nowMs);
    }
  }, TICK_MS);
  try {
    await Promise.race([allAnswered, failed]);
  } finally {
    clearInterval(ticker);
    for (const socket of sockets) socket.destroy();
  }
  return { requests: tookMs.length, p50Ms: percentile(tookMs, 0.5), p99Ms: percentile(tookMs, 0.99) };
}

if (import.meta.main) console.log(JSON.stringify(await measureHits(JSON.parse(process.argv[2] ?? ''))));
