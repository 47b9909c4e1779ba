/** A log on JetStream in which several processes agree on one order: an entry is taken only by who knows all entries before it, and of each subject the newest entry is kept. */
import { DeliverPolicy, DiscardPolicy, type JetStreamClient, jetstream, jetstreamManager, RetentionPolicy } from '@nats-io/jetstream';
import type { Bus, BusLogger } from './bus.ts';
import { ensureStream } from './ensure-stream.ts';
import { errorCodeOf, fromNatsError } from './errors.ts';

const TIMEOUT_MS = 5_000;
/** Pause before following is begun again. */
const RESUME_DELAY_MS = 500;
const FETCHED_MAX = 512;
/** https://github.com/nats-io/nats-server/blob/main/server/errors.json: `JSStreamWrongLastMsgIDErrF`, `JSStreamWrongLastSequenceErrF` */
const REFUSALS: ReadonlySet<number> = new Set([10070, 10071]);
const NO_MESSAGE_FOUND = 10037;

export interface LogEntry {
  /** Counts from 1. Positions of entries that newer ones have replaced are missing. */
  readonly position: number;
  /** When the log took it, in ms since the epoch. */
  readonly storedAtMs: number;
  readonly data: Uint8Array;
}

/** Names an entry, and the one that it was made to follow. Names are never used twice. */
export interface Link {
  readonly id: string;
  readonly behind?: string | undefined;
}

export class SharedLog {
  readonly #bus: Bus;
  readonly #log: BusLogger;
  readonly #name: string;
  readonly #prefix: string;
  readonly #replicas: number;
  readonly #jetstream: JetStreamClient;

  /** `subjectPrefix`: the subjects are one token longer. `replicas`: as those of the streams. */
  constructor(
    bus: Bus,
    log: BusLogger,
    { name, subjectPrefix, replicas = 1 }: { readonly name: string; readonly subjectPrefix: string; readonly replicas?: number },
  ) {
    this.#bus = bus;
    this.#log = log;
    this.#name = name;
    this.#prefix = subjectPrefix;
    this.#replicas = replicas;
    this.#jetstream = jetstream(bus.connection, { timeout: TIMEOUT_MS });
  }

  /** Creates the stream where it is missing. Further replicas and the storage of one that is there are the operator's. @throws {SluiceError} */
  async ensure(): Promise<void> {
    await this.#asked(async () => {
      const manager = await jetstreamManager(this.#bus.connection, { timeout: TIMEOUT_MS });
      const limits = { subjects: [`${this.#prefix}.*`], max_msgs_per_subject: 1, discard: DiscardPolicy.Old, max_age: 0, max_bytes: -1 };
      await ensureStream(manager, { name: this.#name, retention: RetentionPolicy.Limits, ...limits }, this.#replicas);
    });
  }

  /** The position of the newest entry, 0 when there is none. @throws {SluiceError} also when there is no such stream */
  async last(): Promise<number> {
    return this.#asked(async () => {
      const manager = await jetstreamManager(this.#bus.connection, { timeout: TIMEOUT_MS });
      return (await manager.streams.info(this.#name)).state.last_seq;
    });
  }

  /** The newest entry of a subject. @throws {SluiceError} */
  async newest(token: string): Promise<LogEntry | undefined> {
    return this.#asked(async () => {
      const manager = await jetstreamManager(this.#bus.connection, { timeout: TIMEOUT_MS });
      try {
        const found = await manager.streams.getMessage(this.#name, { last_by_subj: this.#subject(token) });
        return found === null ? undefined : { position: found.seq, storedAtMs: found.time.getTime(), data: found.data };
      } catch (error) {
        if (errorCodeOf(error) === NO_MESSAGE_FOUND) return undefined;
        throw error;
      }
    });
  }

  /**
   * Puts an entry behind the one at `after`. Several may be under way at once when each names the one before as its `link.behind` and expects the position that one gets: behind one that is
   * refused none is taken, whatever others write in between. Returns its position; undefined when another entry got there first. @throws {SluiceError} when it is not known whether it was taken
   */
  async append(token: string, data: Uint8Array, after: number, link?: Link): Promise<number | undefined> {
    const expect = { lastSequence: after, ...(link?.behind === undefined ? {} : { lastMsgID: link.behind }) };
    try {
      const options = { timeout: TIMEOUT_MS, expect, ...(link === undefined ? {} : { msgID: link.id }) };
      const taken = await this.#jetstream.publish(this.#subject(token), data, options);
      return taken.seq;
    } catch (error) {
      if (REFUSALS.has(errorCodeOf(error) ?? 0)) return undefined;
      throw fromNatsError(error, this.#subject(token), TIMEOUT_MS);
    }
  }

  /** Drops the entries of a subject up to a position. @throws {SluiceError} */
  async drop(token: string, upTo: number): Promise<void> {
    await this.#asked(async () => {
      const manager = await jetstreamManager(this.#bus.connection, { timeout: TIMEOUT_MS });
      await manager.streams.purge(this.#name, { filter: this.#subject(token), seq: upTo + 1 });
    });
  }

  /** Drops everything up to a position. @throws {SluiceError} */
  async dropAll(upTo: number): Promise<void> {
    await this.#asked(async () => {
      const manager = await jetstreamManager(this.#bus.connection, { timeout: TIMEOUT_MS });
      await manager.streams.purge(this.#name, { seq: upTo + 1 });
    });
  }

  /**
   * Gives the entries behind `position()` to `onEntry`, one after the other, and goes on until it is stopped. `caughtUp` is called each time when there is none left for now. `check` runs whenever
   * following begins, also after a connection was lost; what it throws is logged, once while that lasts, and it is tried again.
   */
  follow({ position, onEntry, caughtUp, check }: FollowOptions): { stop(): Promise<void> } {
    let stopped = false;
    let halt: () => void = () => {};
    let failures = 0;
    const loop = async (): Promise<void> => {
      while (!stopped) {
        try {
          await check();
          const from = position();
          const consumer = await this.#jetstream.consumers.get(this.#name, {
            deliver_policy: DeliverPolicy.StartSequence,
            opt_start_seq: from + 1,
          });
          if ((await this.last()) <= from) await caughtUp();
          const messages = await consumer.consume({
            max_messages: FETCHED_MAX,
            idle_heartbeat: 2_000,
            expires: 10_000,
            abort_on_missing_resource: true,
          });
          halt = () => messages.stop();
          if (stopped) halt();
          failures = 0;
          for await (const message of messages) {
            await onEntry({ position: message.seq, storedAtMs: message.time.getTime(), data: message.data });
            if (message.info.pending === 0) await caughtUp();
          }
        } catch (err) {
          failures += 1;
          // One line when it begins to fail, not one for each attempt.
          if (!stopped && failures === 1) this.#log.warn({ err, stream: this.#name }, 'the shared log cannot be followed, trying again');
        }
        if (!stopped) await new Promise((resolve) => setTimeout(resolve, RESUME_DELAY_MS).unref());
      }
    };
    const running = loop();
    return {
      stop: async () => {
        stopped = true;
        halt();
        if (this.#bus.connected) await running;
      },
    };
  }

  #subject(token: string): string {
    return `${this.#prefix}.${token}`;
  }

  async #asked<Result>(ask: () => Promise<Result>): Promise<Result> {
    try {
      return await ask();
    } catch (error) {
      throw fromNatsError(error, `stream ${this.#name}`, TIMEOUT_MS);
    }
  }
}

export interface FollowOptions {
  readonly position: () => number;
  readonly onEntry: (entry: LogEntry) => Promise<void>;
  readonly caughtUp: () => Promise<void>;
  readonly check: () => Promise<void>;
}
