/** A link as a TCP proxy in this process: to be had everywhere, but what it does to packets it does to pieces of a stream. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Link } from './link.ts';
import { Lane, PacedPipe, plainShape } from './paced-pipe.ts';

const CONNECTIONS_MAX = 2_000;

export interface TcpLinkOptions {
  readonly name: string;
  readonly to: { readonly host?: string; readonly port: number };
  /** Where it listens; default 127.0.0.1 and any free port. */
  readonly host?: string;
  readonly port?: number;
  /** For what is left to chance. */
  readonly rng: () => number;
}

interface Connection {
  readonly near: Socket;
  /** Undefined while the near side waits for nothing: it came when nothing passed. */
  far: Socket | undefined;
  readonly pipes: PacedPipe[];
}

type Mode = 'open' | 'cut' | 'blackhole' | 'half-open';

export class TcpLink implements Link, AsyncDisposable {
  readonly name: string;
  readonly #options: TcpLinkOptions;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #shape = plainShape();
  readonly #lanes: { readonly out: Lane; readonly back: Lane };
  #mode: Mode = 'open';

  private constructor(options: TcpLinkOptions) {
    this.name = options.name;
    this.#options = options;
    this.#lanes = { out: new Lane(this.#shape, options.rng), back: new Lane(this.#shape, options.rng) };
    // An end travels as bytes do: neither side may be closed because the other one is.
    this.#server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (near) => this.#accept(near));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  static async open(options: TcpLinkOptions): Promise<TcpLink> {
    const link = new TcpLink(options);
    link.#server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  get host(): string {
    return (this.#server.address() as AddressInfo).address;
  }
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
  /** Connections of the near side. */
  get connections(): number {
    return this.#connections.size;
  }

  #accept(near: Socket): void {
    if (this.#mode === 'cut') {
      near.resetAndDestroy();
      return;
    }
    const connection: Connection = { near, far: undefined, pipes: [] };
    this.#connections.add(connection);
    near.on('error', () => near.destroy());
    near.on('close', (hadError) => this.#ended(connection, hadError));
    if (this.#mode === 'open') this.#reach(connection);
  }

  /** Connects the far side, and both with each other. */
  #reach(connection: Connection): void {
    const { host = '127.0.0.1', port } = this.#options.to;
    const far = connect({ host, port, noDelay: true, allowHalfOpen: true });
    connection.far = far;
    far.on('error', () => far.destroy());
    far.on('close', (hadError) => this.#ended(connection, hadError));
    const { near } = connection;
    connection.pipes.push(new PacedPipe(near, far, this.#shape, this.#lanes.out), new PacedPipe(far, near, this.#shape, this.#lanes.back));
    for (const pipe of connection.pipes) pipe.reshape();
  }

  /** One side has closed. The other hears of a reset, unless nothing passes; an end is among what the pipes carry. */
  #ended(connection: Connection, isReset: boolean): void {
    const { near, far } = connection;
    if (this.#mode === 'blackhole' || (this.#mode === 'half-open' && !near.destroyed)) return;
    if (isReset || far === undefined) this.#reset(connection);
    if (near.destroyed && far?.destroyed !== false) this.#connections.delete(connection);
  }

  async cut(): Promise<void> {
    this.#mode = 'cut';
    this.#resetAll();
  }

  #resetAll(): void {
    for (const connection of [...this.#connections]) this.#reset(connection);
  }

  #reset({ near, far }: Connection): void {
    if (!near.destroyed) near.resetAndDestroy();
    if (far !== undefined && !far.destroyed) far.resetAndDestroy();
  }

  async blackhole(): Promise<void> {
    this.#stop('blackhole');
  }

  async halfOpen(): Promise<void> {
    this.#stop('half-open');
    for (const { far } of this.#connections) if (far !== undefined && !far.destroyed) far.resetAndDestroy();
  }

  #stop(mode: Mode): void {
    this.#mode = mode;
    this.#shape.isStopped = true;
    this.#reshape();
  }

  #reshape(): void {
    for (const { pipes } of this.#connections) for (const pipe of pipes) pipe.reshape();
  }

  async delay(ms: number): Promise<void> {
    this.#shape.delayMs = ms;
  }

  async limit(bytesPerSecond: number): Promise<void> {
    this.#shape.bytesPerSecond = bytesPerSecond;
  }

  async lose(share: number): Promise<void> {
    this.#shape.lostShare = share;
  }

  async heal(): Promise<void> {
    const was = this.#mode;
    this.#mode = 'open';
    Object.assign(this.#shape, plainShape());
    for (const lane of Object.values(this.#lanes)) lane.clear();
    for (const connection of [...this.#connections]) this.#healConnection(connection, was);
  }

  #healConnection(connection: Connection, was: Mode): void {
    const { near, far, pipes } = connection;
    // What a side did not hear of while nothing passed, it hears now.
    const isBroken = near.destroyed || far?.destroyed === true;
    if (isBroken) {
      this.#connections.delete(connection);
      this.#reset(connection);
    } else if (far !== undefined) for (const pipe of pipes) pipe.hurry();
    else if (was === 'half-open') this.#reset(connection);
    else this.#reach(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#mode = 'open';
    this.#resetAll();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
