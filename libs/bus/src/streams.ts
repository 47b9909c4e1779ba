/** JetStream: the streams of the contract, durable publishing and shared durable consumers that survive a broker losing its disk. */
import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamClient,
  type JsMsg,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { decode, type EventSubject, encode, STREAMS } from '@sluice/contracts';
import type { z } from 'zod';
import type { Bus, BusLogger } from './bus.ts';
import { ensureStream } from './ensure-stream.ts';
import { fromNatsError, NoReplyError } from './errors.ts';

const API_TIMEOUT_MS = 5_000;
const PUBLISH_TIMEOUT_MS = 5_000;
/** Messages of a reading that are on their way at once. */
const READ_AT_ONCE = 1_000;
/** Pause before a consumer that lost its stream or connection is set up again. */
const RESUME_DELAY_MS = 500;

type StreamDefinition = (typeof STREAMS)[keyof typeof STREAMS];

/** One message of a durable consumer. Exactly one of `ack` and `retryIn` ends it; `working` asks for more time. */
export interface DurableMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Place in the stream. */
  readonly sequence: number;
  /** When the stream took it, in ms since the epoch: with `sequence` it names the message, also after the stream was made anew. */
  readonly storedAtMs: number;
  /** 1 for the first delivery. */
  readonly delivery: number;
  /** The id it was published under, if any. */
  readonly id: string | undefined;
  ack(): void;
  retryIn(delayMs: number): void;
  working(): void;
}

export interface ConsumeOptions {
  readonly stream: StreamDefinition;
  /** Consumers of the same name share the work. */
  readonly durable: string;
  /** Most messages delivered and not yet acknowledged, over all that share the consumer. */
  readonly maxPending: number;
  /** A message not ended in this time is delivered again. */
  readonly ackWaitMs: number;
}

export interface Consuming {
  /** The stream is there, and its messages come: what is published from now on is not lost. */
  readonly consuming: boolean;
  stop(): Promise<void>;
}

/** What was read of one subject of a stream. */
export interface StreamReading<Message> {
  /** Oldest first. */
  readonly messages: Message[];
  /** Everything of the subject up to this place was read, or is older than what was asked for. */
  readonly upTo: number;
}

export class Streams {
  readonly #bus: Bus;
  readonly #log: BusLogger;
  readonly #replicas: number;
  readonly #jetstream: JetStreamClient;

  /** `replicas`: least that each stream has, and its consumers with it. More than one needs a cluster of as many servers. */
  constructor(bus: Bus, log: BusLogger, { replicas = 1 }: { readonly replicas?: number } = {}) {
    this.#bus = bus;
    this.#log = log;
    this.#replicas = replicas;
    this.#jetstream = jetstream(bus.connection, { timeout: API_TIMEOUT_MS });
  }

  /** Creates the contract's streams where they are missing, and brings their limits up to date. Keeps what they hold. @throws {TooFewServersError} */
  async ensure(): Promise<void> {
    const manager = await jetstreamManager(this.#bus.connection, { timeout: API_TIMEOUT_MS });
    for (const definition of Object.values(STREAMS)) {
      const limits = {
        subjects: [...definition.subjects],
        max_age: nanos(definition.maxAgeMs),
        max_bytes: definition.maxBytes,
        duplicate_window: nanos(definition.duplicateWindowMs),
      };
      await ensureStream(manager, { name: definition.name, retention: RetentionPolicy.Limits, ...limits }, this.#replicas);
    }
  }

  /**
   * Publishes and waits for the stream's acknowledgement. The same `id` within the stream's duplicate window is stored once.
   * @throws {SluiceError} when it was not acknowledged; publishing again with the same id is safe
   */
  async publish<Schema extends z.ZodType>(event: EventSubject<Schema>, message: z.input<Schema>, id: string): Promise<void> {
    await this.publishEncoded(event.subject, encode(event.subject, event.message, message), id);
  }

  /** {@link publish} for a message that was encoded before, for example when it was put into an outbox. */
  async publishEncoded(subject: string, payload: Uint8Array, id: string): Promise<void> {
    try {
      await this.#bus.operate(`STREAM_PUBLISH:${subject}`, () =>
        this.#jetstream.publish(subject, payload, { msgID: id, timeout: PUBLISH_TIMEOUT_MS }),
      );
    } catch (error) {
      throw fromNatsError(error, subject, PUBLISH_TIMEOUT_MS);
    }
  }

  /**
   * Delivers a stream's messages to `handler` until stopped. Streams and consumer are created when missing, also again after the
   * broker has lost them. `handler` must end each message itself.
   */
  consume(options: ConsumeOptions, handler: (message: DurableMessage) => void): Consuming {
    const { operate } = this.#bus;
    let stopped = false;
    let consuming = false;
    let halt: () => void = () => {};
    const loop = async (): Promise<void> => {
      while (!stopped) {
        try {
          await this.ensure();
          await this.#ensureConsumer(options);
          const consumer = await this.#jetstream.consumers.get(options.stream.name, options.durable);
          const messages = await consumer.consume({
            max_messages: 256,
            abort_on_missing_resource: true,
            idle_heartbeat: 2_000,
            expires: 10_000,
          });
          halt = () => messages.stop();
          consuming = true;
          if (stopped) halt();
          for await (const message of messages)
            operate(`STREAM_DELIVER:${options.durable}`, () => handler(this.#durableMessage(message, options.durable)));
        } catch (err) {
          if (!stopped) this.#log.warn({ err, stream: options.stream.name, durable: options.durable }, 'consumer interrupted');
        }
        consuming = false;
        if (!stopped) await new Promise((resolve) => setTimeout(resolve, RESUME_DELAY_MS).unref());
      }
    };
    const running = loop();
    return {
      get consuming() {
        return consuming;
      },
      stop: async () => {
        stopped = true;
        halt();
        if (this.#bus.connected) await running;
      },
    };
  }

  async #ensureConsumer({ stream, durable, maxPending, ackWaitMs }: ConsumeOptions): Promise<void> {
    const manager = await jetstreamManager(this.#bus.connection, { timeout: API_TIMEOUT_MS });
    const limits = { max_ack_pending: maxPending, ack_wait: nanos(ackWaitMs) };
    try {
      await manager.consumers.info(stream.name, durable);
      await manager.consumers.update(stream.name, durable, limits);
    } catch {
      await manager.consumers.add(stream.name, {
        durable_name: durable,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        ...limits,
      });
    }
  }

  /** The newest messages on one subject of a stream, at most `count` of the stream's last `count` messages, oldest first. */
  async recent<Schema extends z.ZodType>(
    stream: StreamDefinition,
    event: EventSubject<Schema>,
    count: number,
  ): Promise<z.output<Schema>[]> {
    return (await this.read(stream, event, { after: 0, count })).messages;
  }

  /** What a stream has on one subject behind a place, at most of its last `count` messages. */
  async read<Schema extends z.ZodType>(
    stream: StreamDefinition,
    event: EventSubject<Schema>,
    { after, count }: { readonly after: number; readonly count: number },
  ): Promise<StreamReading<z.output<Schema>>> {
    const manager = await jetstreamManager(this.#bus.connection, { timeout: API_TIMEOUT_MS });
    const { first_seq: first, last_seq: upTo, messages: held } = (await manager.streams.info(stream.name)).state;
    // A stream that was made anew counts from 1 again.
    const from = Math.max(first, upTo - count + 1, after > upTo ? 1 : after + 1);
    const found: z.output<Schema>[] = [];
    if (held === 0 || from > upTo) return { messages: found, upTo };
    const consumer = await this.#jetstream.consumers.get(stream.name, {
      filter_subjects: event.subject,
      opt_start_seq: from,
      deliver_policy: DeliverPolicy.StartSequence,
    });
    // In a cluster it can take a while until a consumer that was just made gives what it has.
    let giveUpAtMs = Date.now() + API_TIMEOUT_MS;
    for (let left = (await consumer.info()).num_pending; left > 0; ) {
      let came = false;
      const messages = await consumer.fetch({ max_messages: READ_AT_ONCE, expires: 1_000 });
      for await (const message of messages) {
        came = true;
        try {
          found.push(decode(message.subject, event.message, message.data));
        } catch (err) {
          this.#log.warn({ err, sequence: message.seq }, 'stored message ignored');
        }
        left = message.seq >= upTo ? 0 : message.info.pending;
        if (left === 0) break;
      }
      if (came) giveUpAtMs = Date.now() + API_TIMEOUT_MS;
      else if (Date.now() > giveUpAtMs) throw new NoReplyError(`${stream.name} (${event.subject})`, API_TIMEOUT_MS);
      // What was to come may have been removed meanwhile.
      else left = (await consumer.info()).num_pending;
    }
    return { messages: found, upTo };
  }

  /** What cannot be said about it is logged: without a word the broker delivers it again. */
  #durableMessage(message: JsMsg, durable: string): DurableMessage {
    const say = (word: string, send: () => void): void => {
      try {
        this.#bus.operate(`STREAM_${word}:${durable}`, send);
      } catch (err) {
        this.#log.warn({ err, durable, sequence: message.seq }, 'message could not be ended, it will be delivered again');
      }
    };
    return {
      subject: message.subject,
      data: message.data,
      sequence: message.seq,
      storedAtMs: message.time.getTime(),
      delivery: message.info.deliveryCount,
      id: message.headers?.get('Nats-Msg-Id') || undefined,
      ack: () => say('ACK', () => message.ack()),
      retryIn: (delayMs) => say('RETRY', () => message.nak(delayMs)),
      working: () => say('WORKING', () => message.working()),
    };
  }
}
