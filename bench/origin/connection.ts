/**
 * A client that costs little, because it shares the machine with what it measures: one connection with one request at a time, requests that were
 * signed and written down beforehand, and one buffer for all that comes.
 */
import { connect, type Socket } from 'node:net';
import { type Reply, ReplyReader } from './reply.ts';

/** What is read at a time. */
const READ_BYTES = 256 * 1024;
/** Of each answer's body: a page of 1,000 keys, or the whole of an error. */
const KEPT_BYTES = 1024 * 1024;

/** A request as it goes out. */
export interface WrittenRequest {
  readonly head: Buffer;
  readonly body?: Buffer | undefined;
}

export class Connection implements Disposable {
  readonly #socket: Socket;
  readonly #reader = new ReplyReader(KEPT_BYTES);
  #settle: { resolve(reply: Reply): void; reject(error: Error): void } | undefined;

  private constructor(port: number) {
    this.#socket = connect({
      ...{ port, host: '127.0.0.1', noDelay: true },
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BYTES),
        callback: (bytes, buffer) => {
          this.#take((buffer as Buffer).subarray(0, bytes));
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  static async open(port: number): Promise<Connection> {
    const connection = new Connection(port);
    await new Promise<void>((resolve, reject) => connection.#socket.once('connect', resolve).once('error', reject));
    return connection;
  }

  /** Resolves with the whole answer. One at a time. @throws when the connection ends, or what comes is no answer */
  send({ head, body }: WrittenRequest): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.cork();
      this.#socket.write(head);
      if (body !== undefined) this.#socket.write(body);
      this.#socket.uncork();
    });
  }

  #take(piece: Buffer): void {
    try {
      const reply = this.#reader.take(piece);
      if (reply === undefined) return;
      const settle = this.#settle;
      this.#settle = undefined;
      settle?.resolve(reply);
    } catch (error) {
      this.#fail(error as Error);
      this.#socket.destroy();
    }
  }

  #fail(error: Error): void {
    this.#settle?.reject(error);
    this.#settle = undefined;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
