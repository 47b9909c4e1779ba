import type { Consuming, DurableMessage, Streams } from '@sluice/bus';
import { CONSUMERS, CONTENT_REJECTED, SluiceError, STREAMS } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import type { RequestOrigin } from '../../domain/catalog-change.ts';
import { type ContentRequest, readContentRequest } from '../../domain/content-request.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import type { Announcer } from './announcer.ts';

/** Messages being dealt with at once. */
export const PENDING_MAX = 256;
const ACK_WAIT_MS = 30_000;
/** How long the acknowledgement of a message that only passes by may wait for others. */
const ACKNOWLEDGE_LATER_MS = 100;
/** Pause before a message that could not be dealt with (disk full, broker leaving) is delivered again. */
const RETRY_DELAY_MS = 2_000;
/** What an object at a source is refused with: asking again is of no use before somebody has changed it there. */
const UNUSABLE: ReadonlySet<string> = new Set(['OBJECT_UNUSABLE', 'INVALID_MESSAGE']);
const PURGE_REFUSED =
  'mode: this origin signs what it says and takes no purge from the broker; ask it over HTTP, with "sluice invalidate --purge" or POST /-/invalidations, or send "stale", which keeps the bytes. ORIGIN_BROKER_PURGE=yes lets purges in';
const PAYLOAD_SHOWN_CHARACTERS = 1024;
const REASON_MAX_CHARACTERS = 4096;

export interface ContentIntakeOptions {
  readonly streams: Pick<Streams, 'consume' | 'publish'>;
  readonly catalog: Pick<Catalog, 'id' | 'invalidate'>;
  readonly announcer: Announcer;
  /** Whether whoever reaches the broker may have bytes dropped everywhere. */
  readonly takesPurges: () => boolean;
  readonly clock: Clock;
  readonly metrics: OriginMetrics;
  readonly log: Logger;
}

/**
 * What others put on the content stream, by hand or by script: requests to announce or invalidate. Each becomes an announcement of the
 * origin's own, or is rejected with the reason. Announcements (they have a version) only pass by.
 */
export class ContentIntake {
  readonly #options: ContentIntakeOptions;
  readonly #consumer: Consuming;
  /** At most as many as the consumer may have outstanding. */
  readonly #underWay = new Set<Promise<void>>();
  /** Fewer than half of what the consumer may have outstanding. */
  readonly #passedBy: DurableMessage[] = [];
  #cancelAcknowledging: (() => void) | undefined;
  #stopped = false;

  constructor(options: ContentIntakeOptions) {
    this.#options = options;
    this.#consumer = options.streams.consume(
      { stream: STREAMS.CONTENT, durable: CONSUMERS.origins, maxPending: PENDING_MAX, ackWaitMs: ACK_WAIT_MS },
      (message) => void this.take(message),
    );
  }

  /** Whether messages come. */
  get taking(): boolean {
    return this.#consumer.consuming;
  }

  /**
   * Takes no more messages and lets those under way end. Does not wait for the consumer's own requests to the broker, which may take seconds
   * to time out: what was delivered and not acknowledged is delivered again after the next start.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#acknowledgePassedBy();
    void this.#consumer.stop();
    await Promise.allSettled(this.#underWay);
  }

  /** Deals with one message and ends it. */
  async take(message: DurableMessage): Promise<void> {
    if (this.#stopped) return;
    if (message.id?.startsWith(`${this.#options.catalog.id.slice(0, 8)}-`) === true) return this.#acknowledgeLater(message);
    const work = this.#deal(message);
    this.#underWay.add(work);
    await work.finally(() => this.#underWay.delete(work));
  }

  /** What this catalog announced itself only passes by, at the moment when everybody asks for it: no hurry, and one write for many. */
  #acknowledgeLater(message: DurableMessage): void {
    this.#passedBy.push(message);
    if (this.#passedBy.length >= PENDING_MAX / 2) this.#acknowledgePassedBy();
    this.#cancelAcknowledging ??= this.#options.clock.after(ACKNOWLEDGE_LATER_MS, () => this.#acknowledgePassedBy());
  }

  #acknowledgePassedBy(): void {
    this.#cancelAcknowledging?.();
    this.#cancelAcknowledging = undefined;
    for (const message of this.#passedBy.splice(0)) message.ack();
  }

  async #deal(message: DurableMessage): Promise<void> {
    const { log, metrics } = this.#options;
    try {
      await this.#answer(message, readContentRequest(message.subject, message.data));
      message.ack();
    } catch (err) {
      metrics.requests.inc({ outcome: 'deferred' });
      log.warn({ err, subject: message.subject, sequence: message.sequence }, 'content request deferred');
      message.retryIn(RETRY_DELAY_MS);
    }
  }

  async #answer(message: DurableMessage, request: ContentRequest): Promise<void> {
    const { catalog, announcer } = this.#options;
    switch (request.kind) {
      case 'announcement':
        return;
      case 'invalid':
        return this.#reject(message, undefined, request.reason);
      case 'announce': {
        const outcome = await announcer.announce(request.key, this.#originOf(message, request.id)).catch(unusable);
        if (outcome === 'unknown') return this.#rejectUnknown(message, request.id, request.key);
        if (outcome instanceof SluiceError) return this.#reject(message, request.id, `key: ${outcome.message}`);
        return this.#options.metrics.requests.inc({ outcome });
      }
      case 'invalidate': {
        const { selector, mode, id } = request;
        if (mode === 'purge' && !this.#options.takesPurges()) return this.#reject(message, id, PURGE_REFUSED);
        if ('key' in selector && !(await announcer.has(selector.key))) return this.#rejectUnknown(message, id, selector.key);
        return this.#count(await catalog.invalidate(selector, mode, this.#originOf(message, id)));
      }
    }
  }

  #count(announced: object | undefined): void {
    this.#options.metrics.requests.inc({ outcome: announced === undefined ? 'repeated' : 'announced' });
  }

  /** Deterministic, so that a message delivered again is answered once; the time of storing tells streams made anew apart. */
  #nameOf(message: DurableMessage): string {
    return `${this.#options.catalog.id.slice(0, 8)}-${message.storedAtMs}-${message.sequence}`;
  }

  #originOf(message: DurableMessage, id: string | undefined): RequestOrigin {
    return { eventId: `announce-${this.#nameOf(message)}`, cause: id ?? `content-${this.#nameOf(message)}` };
  }

  #rejectUnknown(message: DurableMessage, id: string | undefined, key: string): Promise<void> {
    return this.#reject(message, id, `key: the origin has no object "${key}"; upload it first`);
  }

  async #reject(message: DurableMessage, id: string | undefined, reason: string): Promise<void> {
    const { streams, clock, metrics, log } = this.#options;
    const name = `rejected-${this.#nameOf(message)}`;
    const rejected = {
      id: id ?? `content-${this.#nameOf(message)}`,
      subject: message.subject,
      reason: reason.slice(0, REASON_MAX_CHARACTERS),
      payload: Buffer.from(message.data.subarray(0, 4 * PAYLOAD_SHOWN_CHARACTERS))
        .toString('utf8')
        .slice(0, PAYLOAD_SHOWN_CHARACTERS)
        .toWellFormed(),
      by: 'origin',
      at: new Date(clock.nowMs()).toISOString(),
    } as const;
    await streams.publish(CONTENT_REJECTED, rejected, name);
    metrics.requests.inc({ outcome: 'rejected' });
    log.warn({ subject: message.subject, sequence: message.sequence, reason: rejected.reason }, 'content event rejected');
  }
}

function unusable(error: unknown): SluiceError {
  if (error instanceof SluiceError && UNUSABLE.has(error.code)) return error;
  throw error;
}
