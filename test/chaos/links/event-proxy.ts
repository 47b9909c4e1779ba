/**
 * Stands in front of the broker and hands events and pushes on twice, and in another order than they came: what networks, redelivery and several publishers
 * may do anyway (DESIGN §4 holds all the same: an event only wakes a key up). Everything else passes as it is. Without TLS: it reads what passes.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { CONTENT_INVALIDATED, CONTENT_REMOVED, CONTENT_UPLOADED } from '@sluice/contracts';
import { type Frame, FrameReader, unrecognisedCopy } from './nats-frames.ts';

/** Frames of one connection that are held back at the same time; those beyond pass. */
export const HELD_MAX = 64;
/** A frame that is held back lets up to so many others pass… */
const OVERTAKEN_MAX = 8;
/** …and goes after this at the latest, well before whoever waits for a reply gives up. */
const HELD_MAX_MS = 300;
const CONNECTIONS_MAX = 2_000;

/** Outcomes are left alone: how often those come is for the checker to count. */
const EVENTS: ReadonlySet<string> = new Set([CONTENT_UPLOADED, CONTENT_INVALIDATED, CONTENT_REMOVED].map(({ subject }) => subject));
const PUSH = /^edge\.[^.]+\.push$/;

/** Shares, 0 … 1, of the events and pushes that pass. */
export interface Disturbance {
  /** Handed on twice. The second one comes without the id by which JetStream would know it. */
  readonly duplicate: number;
  /** Held back until others have passed. */
  readonly reorder: number;
}

const CALM: Disturbance = { duplicate: 0, reorder: 0 };

export interface EventProxyOptions {
  /** Of the broker. */
  readonly to: { readonly host?: string; readonly port: number };
  readonly host?: string;
  readonly rng: () => number;
}

export class EventProxy implements AsyncDisposable {
  readonly #options: EventProxyOptions;
  readonly #server: Server;
  readonly #streams = new Set<ClientStream>();
  readonly counts = { duplicated: 0, reordered: 0 };
  disturbance = CALM;

  private constructor(options: EventProxyOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => this.#accept(client));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  static async open(options: EventProxyOptions): Promise<EventProxy> {
    const proxy = new EventProxy(options);
    proxy.#server.listen(0, options.host ?? '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
  get url(): string {
    return `nats://${(this.#server.address() as AddressInfo).address}:${this.port}`;
  }

  /** Begins to disturb, or does so in another measure. */
  disturb(disturbance: Disturbance): void {
    this.disturbance = disturbance;
  }

  /** From now on everything passes once and in order; what is held back goes at once. */
  calm(): void {
    this.disturbance = CALM;
    for (const stream of this.#streams) stream.release();
  }

  #accept(client: Socket): void {
    const { host = '127.0.0.1', port } = this.#options.to;
    const broker = connect({ host, port, noDelay: true, allowHalfOpen: true });
    const stream = new ClientStream(client, broker, this, this.#options.rng);
    this.#streams.add(stream);
    broker.pipe(client);
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      socket.on('error', () => socket.destroy());
      socket.on('close', (hadError) => {
        this.#streams.delete(stream);
        if (hadError) other.resetAndDestroy();
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) stream.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

interface Held {
  readonly bytes: Buffer;
  /** Events and pushes that may still pass it. */
  overtakenBy: number;
  readonly timer: NodeJS.Timeout;
}

/** What one client sends, on its way to the broker. */
class ClientStream {
  readonly #client: Socket;
  readonly #broker: Socket;
  readonly #proxy: EventProxy;
  readonly #rng: () => number;
  readonly #reader = new FrameReader();
  readonly #held: Held[] = [];

  constructor(client: Socket, broker: Socket, proxy: EventProxy, rng: () => number) {
    this.#client = client;
    this.#broker = broker;
    this.#proxy = proxy;
    this.#rng = rng;
    client.on('data', (chunk: Buffer) => this.#take(chunk));
    client.on('end', () => {
      this.release();
      broker.end();
    });
    broker.on('drain', () => client.resume());
    broker.on('close', () => {
      for (const { timer } of this.#held.splice(0)) clearTimeout(timer);
      client.resume(); // to hear its end
    });
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#pass(frame);
    } catch {
      // Neither a client nor a broker of ours says such a thing; both see a connection that broke.
      this.destroy();
    }
  }

  #pass(frame: Frame): void {
    if (frame.kind === 'other' || !isDisturbed(frame.subject)) {
      this.#write(frame.bytes);
      return;
    }
    const { duplicate, reorder } = this.#proxy.disturbance;
    const [isDuplicated, isReordered] = [this.#rng() < duplicate, this.#rng() < reorder];
    this.#overtake();
    if (isReordered && this.#hold(frame.bytes)) this.#proxy.counts.reordered += 1;
    else this.#write(frame.bytes);
    if (isDuplicated && this.#hold(unrecognisedCopy(frame))) this.#proxy.counts.duplicated += 1;
  }

  /** False when too much is held back already. */
  #hold(bytes: Buffer): boolean {
    if (this.#held.length >= HELD_MAX) return false;
    const timer = setTimeout(() => this.#release((each) => each === held), HELD_MAX_MS);
    const held: Held = { bytes, overtakenBy: 1 + Math.floor(this.#rng() * OVERTAKEN_MAX), timer };
    this.#held.push(held);
    return true;
  }

  /** One event or push passes what is held back. */
  #overtake(): void {
    for (const held of this.#held) held.overtakenBy -= 1;
    this.#release(({ overtakenBy }) => overtakenBy < 0);
  }

  /** Hands on what is held back: all of it, when not told what. */
  release(): void {
    this.#release(() => true);
  }

  #release(isDue: (held: Held) => boolean): void {
    for (const held of this.#held.filter(isDue)) {
      clearTimeout(held.timer);
      this.#held.splice(this.#held.indexOf(held), 1);
      this.#write(held.bytes);
    }
  }

  #write(bytes: Buffer): void {
    if (this.#broker.destroyed) return;
    if (!this.#broker.write(bytes)) this.#client.pause();
  }

  destroy(): void {
    for (const socket of [this.#client, this.#broker]) if (!socket.destroyed) socket.resetAndDestroy();
  }
}

function isDisturbed(subject: string): boolean {
  return EVENTS.has(subject) || PUSH.test(subject);
}
