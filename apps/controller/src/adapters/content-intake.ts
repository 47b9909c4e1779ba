/**
 * Takes events from the stream `CONTENT` and answers each with a `content.distributed` or `content.rejected`. An event is acknowledged only
 * after its answer is stored, so a controller may die at any moment: another one gets the event again and finishes it. An event that another controller may have had is looked up before
 * anything is done about it, and one that another may have been given meanwhile before its answer is sent: so each has one answer.
 */
import type { DurableMessage, Streams } from '@sluice/bus';
import { CONSUMERS, CONTENT_DISTRIBUTED, CONTENT_REJECTED, STREAMS } from '@sluice/contracts';
import type { Clock, Logger, Rng } from '@sluice/runtime';
import { type ContentEvent, readContentEvent } from '../domain/content-event.ts';
import { Distribution } from '../domain/distribution.ts';
import { eventRetryMs } from '../domain/retry-policy.ts';
import type { ControllerMetrics } from '../metrics.ts';
import { type Disposition, type Distributor, subjectOf } from '../services/distributor.ts';
import type { OutcomeJournal } from './outcome-journal.ts';

/** Another controller has answered it. */
const ANSWERED: Disposition = { kind: 'distributed' };
const PAYLOAD_MAX_CHARACTERS = 1024;
const REASON_MAX_CHARACTERS = 4096;

export interface IntakeOptions {
  /** Most events read and not acknowledged, over all controllers. Bounds everything this class holds. */
  readonly maxPending: number;
  readonly ackWaitMs: number;
}

export interface IntakeDeps {
  readonly streams: Streams;
  readonly distributor: Pick<Distributor, 'distribute'>;
  readonly journal: OutcomeJournal;
  readonly metrics: ControllerMetrics;
  readonly log: Logger;
  readonly clock: Clock;
  readonly rng: Rng;
}

/** An event in work with the deliveries that wait for its end, by their place in the stream. */
interface Work {
  readonly distribution: Distribution;
  readonly messages: Map<string, DurableMessage>;
  /** When the broker last heard that it is in work here; monotonic, so a pause of this process counts. */
  heardMs: number;
}

export class ContentIntake {
  readonly #options: IntakeOptions;
  readonly #deps: IntakeDeps;
  readonly #inWork = new Map<string, Work>();
  #consumer: { stop(): Promise<void> } | undefined;
  #stopping = false;
  /** What ends after this is another controller's: it has been given back. */
  #abandoned = false;
  #cancelKeepAlive: () => void = () => {};
  #onIdle: () => void = () => {};

  constructor(options: IntakeOptions, deps: IntakeDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get consuming(): boolean {
    return this.#consumer !== undefined && !this.#stopping;
  }
  get size(): number {
    return this.#inWork.size;
  }
  /** The distribution of an event that is in work here. */
  inWork(eventId: string): Distribution | undefined {
    return this.#inWork.get(eventId)?.distribution;
  }
  /** All of them, oldest first. */
  allInWork(): Distribution[] {
    return [...this.#inWork.values()].map(({ distribution }) => distribution);
  }

  start(): void {
    const { maxPending, ackWaitMs } = this.#options;
    this.#consumer = this.#deps.streams.consume(
      { stream: STREAMS.CONTENT, durable: CONSUMERS.controllers, maxPending, ackWaitMs },
      (message) => this.#take(message),
    );
    this.#keepAlive();
  }

  /** Takes no more, waits up to `drainMs` for what is in work, and gives the rest back for another controller to finish. */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true;
    await this.#consumer?.stop();
    if (this.#inWork.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        this.#deps.clock.after(drainMs, resolve);
      });
    }
    this.#cancelKeepAlive();
    this.#abandoned = true;
    for (const { messages } of this.#inWork.values()) for (const message of messages.values()) message.retryIn(0);
    this.#inWork.clear();
  }

  /** The connection was lost, or what was sent on it: what is in work here may have been given to another controller. */
  doubtAll(): void {
    for (const work of this.#inWork.values()) work.heardMs = Number.NEGATIVE_INFINITY;
  }

  /** A message not heard of for `ackWaitMs` would go to another controller. */
  #keepAlive(): void {
    this.#cancelKeepAlive = this.#deps.clock.after(this.#options.ackWaitMs / 3, () => {
      const nowMs = this.#deps.clock.monotonicMs();
      for (const work of this.#inWork.values()) {
        for (const message of work.messages.values()) message.working();
        // One that was silent for too long stays in doubt: it may have been given to another controller.
        if (!this.#isInDoubt(work)) work.heardMs = nowMs;
      }
      this.#keepAlive();
    });
  }

  /** Whether another controller may have been given the same event meanwhile. */
  #isInDoubt({ heardMs }: Work): boolean {
    return this.#deps.clock.monotonicMs() - heardMs >= this.#options.ackWaitMs;
  }

  #take(message: DurableMessage): void {
    if (this.#stopping) {
      message.retryIn(0);
      return;
    }
    const reading = readContentEvent(message.subject, message.data);
    if (reading.kind === 'event') this.#takeEvent(reading.event, message);
    else if (reading.kind === 'rejected') void this.#rejectUnnamed(message, reading.reason);
    else {
      this.#deps.metrics.eventsIgnored.inc();
      message.ack();
    }
  }

  #takeEvent(event: ContentEvent, message: DurableMessage): void {
    const { journal, metrics, clock } = this.#deps;
    const known = this.#inWork.get(event.id);
    if (known !== undefined || journal.has(event.id)) {
      // Delivered again, or published twice: it is waited for, or has its answer.
      metrics.eventsIgnored.inc();
      if (known === undefined) message.ack();
      else known.messages.set(placeOf(message), message);
      return;
    }
    metrics.events.inc({ subject: message.subject });
    if (event.at !== undefined) metrics.eventLag.observe(Math.max(0, clock.nowMs() - Date.parse(event.at)) / 1000);
    const distribution = new Distribution({
      id: event.id,
      event: event.kind,
      subject: subjectOf(event),
      version: event.version,
      startedAt: new Date(clock.nowMs()).toISOString(),
      startedMs: clock.monotonicMs(),
    });
    const work = { distribution, messages: new Map([[placeOf(message), message]]), heardMs: clock.monotonicMs() };
    this.#inWork.set(event.id, work);
    void this.#work(event, message, work);
  }

  async #work(event: ContentEvent, message: DurableMessage, work: Work): Promise<void> {
    const disposition = await this.#dispose(event, message, work).catch((error: unknown): Disposition => ({ kind: 'later', error }));
    if (!this.#abandoned) this.#end(event, disposition);
  }

  async #dispose(event: ContentEvent, message: DurableMessage, work: Work): Promise<Disposition> {
    const { distributor, journal } = this.#deps;
    if (message.delivery > 1 && (await this.#isAnswered(event))) return ANSWERED;
    const disposition = await distributor.distribute(event, work.distribution);
    if (this.#abandoned || disposition.kind === 'later') return disposition;
    if (journal.has(event.id) || (this.#isInDoubt(work) && (await this.#isAnswered(event)))) return ANSWERED;
    if (disposition.kind === 'distributed') await this.#announce(work.distribution);
    else await this.#reject(event.id, message, disposition.reason);
    return disposition;
  }

  /** Whether an event has its outcome, from whichever controller. @throws {SluiceError} when that cannot be found out now */
  async #isAnswered({ id }: ContentEvent): Promise<boolean> {
    const { journal, streams } = this.#deps;
    if (!journal.has(id)) await journal.refresh(streams);
    return journal.has(id);
  }

  #end(event: ContentEvent, disposition: Disposition): void {
    const messages = this.#inWork.get(event.id)?.messages ?? new Map<string, DurableMessage>();
    this.#inWork.delete(event.id);
    if (disposition.kind !== 'later') {
      for (const message of messages.values()) message.ack();
    } else {
      this.#deps.metrics.eventsPostponed.inc();
      this.#deps.log.warn({ event: event.id, err: disposition.error }, 'event postponed');
      for (const message of messages.values()) message.retryIn(eventRetryMs(message.delivery, this.#deps.rng));
    }
    if (this.#inWork.size === 0) this.#onIdle();
  }

  async #announce(distribution: Distribution): Promise<void> {
    const { streams, journal, metrics, log, clock } = this.#deps;
    const message = distribution.message(clock.monotonicMs());
    await streams.publish(CONTENT_DISTRIBUTED, message, `distributed-${message.id}`);
    journal.add(message);
    metrics.distributions.inc({ completeness: message.complete ? 'complete' : 'incomplete' });
    const { id, event, subject, version, durationMs, complete, edges } = message;
    const fields = { event: id, kind: event, subject, version, durationMs, edges: edges.length };
    if (complete) log.debug(fields, 'distributed');
    else log.warn({ ...fields, unconfirmed: edges.filter(({ error }) => error !== undefined).slice(0, 20) }, 'distributed with gaps');
  }

  async #reject(id: string, message: DurableMessage, reason: string): Promise<void> {
    const { streams, metrics, log, clock } = this.#deps;
    await streams.publish(
      CONTENT_REJECTED,
      {
        id,
        subject: message.subject,
        reason: reason.slice(0, REASON_MAX_CHARACTERS),
        payload: new TextDecoder().decode(message.data.subarray(0, 4 * PAYLOAD_MAX_CHARACTERS)).slice(0, PAYLOAD_MAX_CHARACTERS),
        by: 'controller',
        at: new Date(clock.nowMs()).toISOString(),
      },
      `rejected-${id}`,
    );
    metrics.eventsRejected.inc();
    log.warn({ event: id, subject: message.subject, reason }, 'event rejected');
  }

  async #rejectUnnamed(message: DurableMessage, reason: string): Promise<void> {
    try {
      await this.#reject(`content-${placeOf(message)}`, message, reason);
      message.ack();
    } catch (err) {
      this.#deps.log.warn({ err, sequence: message.sequence }, 'event postponed');
      message.retryIn(eventRetryMs(message.delivery, this.#deps.rng));
    }
  }
}

/** Names a message of the stream, also when the stream was made anew and counts from 1 again. */
function placeOf({ sequence, storedAtMs }: DurableMessage): string {
  return `${sequence}-${storedAtMs}`;
}
