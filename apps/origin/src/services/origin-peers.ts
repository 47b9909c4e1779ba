/** The other origins of a shared catalog: who is there, whose turn it is to list the source, and bytes that only one of them has. */

import { randomUUID } from 'node:crypto';
import type { BlobRef } from '@sluice/blobs';
import type { Bus } from '@sluice/bus';
import { originFetch, originHeartbeat, SluiceError } from '@sluice/contracts';
import { type Clock, every } from '@sluice/runtime';

const HEARTBEAT_MS = 2_000;
/** Three heartbeats missed. */
const LEASE_MS = 7_000;
export const PEERS_MAX = 100;
/** Those who are there answer somebody new at once: so long after the start they have been heard. */
export const GREETED_MS = 500;
const READ_TIMEOUT_MS = 5_000;
/** For what the source has as well. */
const SPARED_READ_TIMEOUT_MS = 300;
const SPARED_ASKED_MAX = 3;

export interface OriginPeersOptions {
  readonly bus: Pick<Bus, 'publish' | 'subscribe' | 'requestBytes' | 'chunkBytes'>;
  /** One NATS token, another one for each process: see {@link originIdOf}. */
  readonly id: string;
  readonly clock: Clock;
}

/** Names the process that starts now: those who were there before come before it in the order of names, so a newcomer takes nobody's turn. */
export function originIdOf(nowMs: number): string {
  return `${nowMs.toString(36).padStart(9, '0')}-${randomUUID()}`;
}

export class OriginPeers {
  readonly #options: OriginPeersOptions;
  /** Id → when its lease ends; monotonic. */
  readonly #leases = new Map<string, number>();
  readonly #stop: (() => void)[] = [];
  /** Resolves when those who are there had the time to say so, or this one leaves. */
  readonly greeted: Promise<void>;

  constructor(options: OriginPeersOptions) {
    this.#options = options;
    const { bus, id, clock } = options;
    this.#stop.push(bus.subscribe(originHeartbeat('*'), (report) => this.#heard(report.id, report.leaving)));
    bus.publish(originHeartbeat(id), { id });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.greeted = promise;
    this.#stop.push(clock.after(GREETED_MS, resolve), resolve);
    this.#stop.push(every(clock, HEARTBEAT_MS, () => bus.publish(originHeartbeat(id), { id })));
  }

  #heard(id: string, leaving: boolean): void {
    const { bus, id: own, clock } = this.#options;
    if (id === own) return;
    const isNew = !this.#leases.delete(id);
    if (leaving) return;
    this.#forget();
    if (this.#leases.size >= PEERS_MAX) return;
    this.#leases.set(id, clock.monotonicMs() + LEASE_MS);
    if (isNew) bus.publish(originHeartbeat(own), { id: own });
  }

  #forget(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [id, untilMs] of this.#leases) if (untilMs <= nowMs) this.#leases.delete(id);
  }

  /** Those that are there, without this one. */
  get others(): string[] {
    this.#forget();
    return [...this.#leases.keys()].sort();
  }

  /** Whether this is the first of those that are there. Two may think so for a moment: what the first does may be done twice. */
  get isFirst(): boolean {
    return this.others.every((other) => this.#options.id < other);
  }

  /** The bytes of a blob from another origin that holds them; undefined when none does. Not verified. */
  async read(ref: BlobRef): Promise<AsyncIterable<Uint8Array> | undefined> {
    return this.#firstOf(this.others, async (id) => this.#rest(id, ref, await this.#piece(id, ref, 0)));
  }

  /** All bytes of a blob that fits one message and is held by another origin; undefined when that is not so, or takes long. Not verified. */
  async readSmall({ sha256, size }: BlobRef): Promise<Uint8Array | undefined> {
    if (size > this.#options.bus.chunkBytes) return undefined;
    return this.#firstOf(this.others.slice(0, SPARED_ASKED_MAX), (id) => this.#piece(id, { sha256, size }, 0, SPARED_READ_TIMEOUT_MS));
  }

  /** A range of a blob from another origin that holds it; undefined when none does. Not verified. */
  async readRange(sha256: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#firstOf(this.others, (id) => this.#piece(id, { sha256, size: offset + length }, offset));
  }

  /** The answer of the first that has one, asked in turn; undefined when none has. */
  async #firstOf<Answer>(ids: readonly string[], ask: (id: string) => Promise<Answer>): Promise<Answer | undefined> {
    for (const id of ids) {
      try {
        return await ask(id);
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error;
        // It has not got them, or is gone: the next one may.
      }
    }
    return undefined;
  }

  async *#rest(id: string, ref: BlobRef, first: Uint8Array): AsyncGenerator<Uint8Array> {
    yield first;
    for (let offset = first.byteLength; offset < ref.size; ) {
      const piece = await this.#piece(id, ref, offset);
      if (piece.byteLength === 0) return;
      yield piece;
      offset += piece.byteLength;
    }
  }

  async #piece(id: string, { sha256, size }: BlobRef, offset: number, timeoutMs = READ_TIMEOUT_MS): Promise<Uint8Array> {
    const { bus } = this.#options;
    const length = Math.max(1, Math.min(bus.chunkBytes, size - offset));
    return bus.requestBytes(originFetch(id), { op: 'read', sha256, offset, length }, { timeoutMs });
  }

  /** Tells the others that this one leaves. */
  stop(): void {
    const { bus, id } = this.#options;
    for (const stop of this.#stop.splice(0)) stop();
    bus.publish(originHeartbeat(id), { id, leaving: true });
  }
}
