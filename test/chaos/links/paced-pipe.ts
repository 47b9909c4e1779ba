/** One direction of one connection: bytes in order, each no earlier than the link allows. */
import type { Socket } from 'node:net';

/** Most bytes that are on their way in one direction of one connection; more is not read from the sender. */
export const ON_THE_WAY_MAX_BYTES = 256 * 1024;
/** How long a sender waits before it sends a lost packet again; Linux takes 200 ms at least. */
const RETRANSMISSION_MS = 200;
/** Pieces of a limited link are as large as what passes in this time, so that a slow link trickles. */
const PIECE_MS = 20;
const PIECE_MIN_BYTES = 512;
const PIECE_MAX_BYTES = 16 * 1024;

/** How a link is at the moment; all its pipes look at one of these. */
export interface Shape {
  delayMs: number;
  bytesPerSecond: number;
  lostShare: number;
  /** Nothing passes. */
  isStopped: boolean;
}

export function plainShape(): Shape {
  return { delayMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY, lostShare: 0, isStopped: false };
}

/** One direction of a link: its bandwidth is shared by all connections. */
export class Lane {
  readonly #shape: Shape;
  readonly #rng: () => number;
  #freeAtMs = 0;

  constructor(shape: Shape, rng: () => number) {
    this.#shape = shape;
    this.#rng = rng;
  }

  get pieceBytes(): number {
    const { bytesPerSecond } = this.#shape;
    return Math.min(PIECE_MAX_BYTES, Math.max(PIECE_MIN_BYTES, Math.floor((bytesPerSecond * PIECE_MS) / 1000)));
  }

  /** When a piece that is sent at `nowMs` arrives. Takes the lane for as long as the piece needs. */
  arrivalMs(bytes: number, nowMs: number): number {
    const { delayMs, bytesPerSecond, lostShare } = this.#shape;
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + (bytes / bytesPerSecond) * 1000;
    const again = lostShare > 0 && this.#rng() < lostShare ? RETRANSMISSION_MS : 0;
    return this.#freeAtMs + delayMs + again;
  }

  /** The link is as it was: what waits for the lane no longer does. */
  clear(): void {
    this.#freeAtMs = 0;
  }
}

/** `undefined` stands for the end of the stream, which keeps its place behind the bytes. */
interface Piece {
  readonly bytes: Buffer | undefined;
  readonly arrivesAtMs: number;
}

export class PacedPipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #shape: Shape;
  readonly #lane: Lane;
  readonly #queue: Piece[] = [];
  #waitingBytes = 0;
  #lastArrivalMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, shape: Shape, lane: Lane) {
    this.#from = from;
    this.#to = to;
    this.#shape = shape;
    this.#lane = lane;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#add(undefined, 0));
    to.on('close', () => clearTimeout(this.#timer));
  }

  #take(bytes: Buffer): void {
    const { pieceBytes } = this.#lane;
    for (let start = 0; start < bytes.byteLength; start += pieceBytes) {
      const piece = bytes.subarray(start, start + pieceBytes);
      this.#add(piece, piece.byteLength);
    }
    this.#waitingBytes += bytes.byteLength;
    if (this.#waitingBytes >= ON_THE_WAY_MAX_BYTES) this.#from.pause();
    this.#deliver();
  }

  #add(bytes: Buffer | undefined, length: number): void {
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#lane.arrivalMs(length, performance.now()));
    this.#queue.push({ bytes, arrivesAtMs: this.#lastArrivalMs });
    if (bytes === undefined) this.#deliver();
  }

  /** Looks again whether something may pass: the shape is another one. */
  reshape(): void {
    if (this.#shape.isStopped) {
      this.#from.pause();
      clearTimeout(this.#timer);
      this.#timer = undefined;
      return;
    }
    if (this.#waitingBytes < ON_THE_WAY_MAX_BYTES) this.#from.resume();
    this.#deliver();
  }

  /** Whatever waits only for its time passes now. */
  hurry(): void {
    this.#lastArrivalMs = 0;
    for (const [index, { bytes }] of this.#queue.entries()) this.#queue[index] = { bytes, arrivesAtMs: 0 };
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.reshape();
  }

  #deliver(): void {
    if (this.#shape.isStopped || this.#timer !== undefined) return;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const earlyMs = next.arrivesAtMs - performance.now();
      if (earlyMs > 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#deliver();
        }, earlyMs);
        return;
      }
      this.#queue.shift();
      this.#pass(next.bytes);
    }
  }

  #pass(bytes: Buffer | undefined): void {
    if (this.#to.destroyed) return;
    if (bytes === undefined) {
      this.#to.end();
      return;
    }
    this.#to.write(bytes, () => {
      this.#waitingBytes -= bytes.byteLength;
      if (this.#waitingBytes < ON_THE_WAY_MAX_BYTES && !this.#shape.isStopped) this.#from.resume();
    });
  }
}
