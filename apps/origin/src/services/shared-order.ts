/**
 * The order of changes that several origins share: each decides on what its own catalog is, and the log takes the decision only when that catalog had everything before it. So no
 * origin leads, and one that goes away leaves nothing behind that others would have to take over.
 */
import { randomUUID } from 'node:crypto';
import { CATALOG_LOG, SluiceError } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import PQueue from 'p-queue';
import type { Catalog } from '../adapters/catalog/catalog.ts';
import type { PruneBatch } from '../adapters/catalog/feed-pruner.ts';
import { type CatalogLog, factOf, type Genesis, type PlacedEntry } from '../adapters/nats/catalog-log.ts';
import type { CatalogChange, LogFact } from '../domain/catalog-change.ts';
import { mintVersion } from '../domain/version.ts';
import type { ChangeOrder } from './change-order.ts';

/** Changes that may wait for their places. */
export const WAITING_MAX = 10_000;
/** Changes on their way to the log at once. */
const BATCH_MAX = 64;
/** An entry older than this is no news: who can hear of it has, or catches up. Below the stream's duplicate window, in which an event that several origins announce is one. */
const NEWS_MAX_AGE_MS = 60_000;
/** Entries that are being brought into the catalog at once: they share its transactions. */
const FOLDING_MAX = 256;
/** Entries being dropped from the log at once. */
export const DROPPED_AT_ONCE_MAX = 8;
/** How long a change, or a reader, waits for this catalog to have what the log has. */
const PATIENCE_MS = 10_000;

/** The log cannot be followed now, or has more than this catalog. Ask again a little later. */
export class CatalogBehindError extends SluiceError {
  constructor(reason: string) {
    super('CATALOG_BEHIND', `the catalog is not up to date: ${reason}; ask again later`, { retryable: true });
    this.name = 'CatalogBehindError';
  }
}

/** Two origins with different content would remove each other's. */
export class OtherSourceError extends SluiceError {
  constructor(theirs: string, ours: string) {
    super(
      'LOG_OF_ANOTHER_SOURCE',
      `the log of the catalog at this broker is of ${theirs}, and this origin shows ${ours}: connect one of them to another broker or account; if the former is no more, remove the stream ${CATALOG_LOG.name}`,
      { retryable: true },
    );
    this.name = 'OtherSourceError';
  }
}

interface Waiting {
  readonly decide: () => CatalogChange | undefined;
  readonly resolve: (placed: CatalogChange | undefined) => void;
  readonly reject: (error: unknown) => void;
}

type FollowedCatalog = Pick<Catalog, 'id' | 'lastVersion' | 'horizon' | 'upstream'>;

export interface SharedOrderOptions {
  readonly catalog: () => FollowedCatalog;
  /** Called when the catalog has begun anew: what is at the source has to be found again. */
  readonly onAnew?: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SharedOrder implements ChangeOrder {
  readonly #options: SharedOrderOptions;
  #log: CatalogLog | undefined;
  #following: { stop(): Promise<void> } | undefined;
  #waiting: Waiting[] = [];
  #draining = false;
  /** Whether this catalog had everything when that was last looked at. */
  #isCaughtUp = false;
  #problem: OtherSourceError | undefined;
  #stopped = false;
  /** The position of the last entry that was given to the catalog, which may not have it yet. */
  #given = 0;
  readonly #folding = new Set<Promise<void>>();
  /** Called when the position has grown, or nothing is left to follow for now. */
  readonly #moved = new Set<() => void>();

  constructor(options: SharedOrderOptions) {
    this.#options = options;
  }

  /** The broker is there: begins to follow. */
  start(log: CatalogLog): void {
    this.#log = log;
    this.#following = log.follow({
      position: () => this.#catalog.upstream.position,
      onEntry: (placed) => this.#take(placed),
      caughtUp: async () => {
        await this.#folded();
        this.#isCaughtUp = true;
        this.#tell();
      },
      check: () => this.#meet(log),
    });
  }

  /** Whether this catalog has what the log has, as far as is known. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp;
  }

  /** Resolves when this catalog has once had what the log has, or nothing is followed any more. */
  async caughtUpOnce(): Promise<void> {
    while (!this.#isCaughtUp && !this.#stopped) await this.#move().catch(() => {});
  }

  /** What somebody has to do before it can be followed; undefined: nothing. */
  get problem(): string | undefined {
    return this.#problem?.message;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get #catalog(): FollowedCatalog {
    return this.#options.catalog();
  }

  place(decide: () => CatalogChange | undefined): Promise<CatalogChange | undefined> {
    if (this.#waiting.length >= WAITING_MAX)
      return Promise.reject(new CatalogBehindError(`${WAITING_MAX} changes wait for the log already`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ decide, resolve, reject });
      if (!this.#draining) void this.#drain();
    });
  }

  /** Says that everything at the source is in the catalog, once for all origins. @throws {SluiceError} */
  async sayListed(): Promise<void> {
    while (!this.#catalog.upstream.isListed) await this.#say({ kind: 'listed' }, (log, after) => log.sayListed(after));
  }

  /**
   * Drops from the log what a catalog is about to forget, as far as it was there up to `upTo`: what comes behind it is something else. Whoever has not come so far is told before that it cannot learn it there any more. Harmless when another origin
   * does the same, or when it is done again. @throws {SluiceError}
   */
  async forget({ removed, invalidations, horizon: version }: PruneBatch, upTo: number): Promise<void> {
    while (this.#catalog.horizon < version)
      await this.#say({ kind: 'forgotten', version }, (log, after) => log.sayForgotten(version, after));
    const log = await this.#current();
    const drops = new PQueue({ concurrency: DROPPED_AT_ONCE_MAX });
    const about = [...removed.map((key) => ({ key })), ...invalidations];
    await drops.addAll(about.map((each) => () => log.forget(each, upTo)));
  }

  /** One attempt to put an entry behind the last one, and to take it here; else what came first is waited for. */
  async #say(fact: LogFact, append: (log: CatalogLog, after: number) => Promise<number | undefined>): Promise<void> {
    const log = await this.#current();
    const after = this.#catalog.upstream.position;
    const position = await append(log, after);
    if (position === undefined) await this.#moveBeyond(after);
    else await this.#foldOwn(position, fact);
  }

  /** Resolves when this catalog has what the log has, as far as is known: at once but after a start and when the log could not be followed. @throws {CatalogBehindError} */
  async caughtUp(): Promise<void> {
    await this.#current();
  }

  /** Resolves when this catalog has everything that the log has now. @throws {CatalogBehindError} */
  async catchUp(): Promise<void> {
    const log = await this.#current();
    const last = await log.last();
    while (this.#catalog.upstream.position < last) await this.#move();
  }

  /** Makes sure that log and catalog are of one kind: another log than before, or one that has lost what this catalog has, and the catalog begins anew. */
  async #meet(log: CatalogLog): Promise<void> {
    this.#isCaughtUp = false;
    await Promise.allSettled(this.#folding);
    await log.ensure();
    for (;;) {
      const last = await log.last();
      const genesis = await log.genesis();
      this.#problem = genesis && otherSource(log, genesis);
      if (this.#problem !== undefined) throw this.#problem;
      const { id, lastVersion } = this.#catalog;
      const { position } = this.#catalog.upstream;
      const isKnown = genesis !== undefined && genesis.catalogId === id;
      const hasLost = isKnown && last < position;
      // Versions must not go back, also where the log was begun by an origin that knew less.
      const isBehind = !isKnown && position > 0 && genesis !== undefined && genesis.version < lastVersion;
      if (genesis !== undefined && !hasLost && !isBehind) {
        // Away for so long that removals it has not heard of are not in the log any more.
        const hasMissed = isKnown && lastVersion < (await log.forgotten());
        if (!isKnown || hasMissed) await this.#beginAnew(genesis);
        this.#given = this.#catalog.upstream.position;
        return;
      }
      this.#options.log.warn({ last, position }, 'the log of the catalog is empty or has lost something, it begins anew');
      await log.begin(last, mintVersion(this.#options.clock.nowMs(), position > 0 ? lastVersion : 0));
    }
  }

  async #beginAnew(genesis: Genesis): Promise<void> {
    this.#options.log.warn(genesis, 'the log is of another catalog, or has forgotten what this one has missed: it begins anew');
    await this.#catalog.upstream.beginAnew(genesis);
    this.#given = genesis.position;
    this.#options.onAnew?.();
  }

  async #take(placed: PlacedEntry): Promise<void> {
    const { position, entry } = placed;
    if (position <= this.#given) return;
    if (entry.kind === 'genesis') {
      await this.#folded();
      await this.#beginAnew({ ...entry, position });
      return this.#tell();
    }
    void this.#fold(position, placed.storedAtMs, factOf(entry));
    if (this.#folding.size >= FOLDING_MAX) await this.#folded();
  }

  /** Resolves when the catalog has all that it was given. @throws what kept it from that */
  async #folded(): Promise<void> {
    const upTo = this.#given;
    await Promise.all(this.#folding);
    // What it could not take before is given to it again when following begins anew.
    if (this.#catalog.upstream.position < upTo) throw new CatalogBehindError(`it could not take the log up to ${upTo}`);
  }

  /** Brings an entry of this origin's own into the catalog. Where what stands before it did not come here, it is not known to have been taken, and the follower brings both. */
  async #foldOwn(position: number, fact: LogFact): Promise<void> {
    if (this.#given < position - 1) await this.#moveBeyond(position - 1);
    else await this.#fold(position, this.#options.clock.nowMs(), fact);
  }

  /** Brings an entry into the catalog. One that the follower has brought before, or this origin itself, is waited for with the others. */
  #fold(position: number, storedAtMs: number, fact: LogFact): Promise<void> {
    if (position <= this.#given) return this.#folded();
    const place = { position, behind: this.#given };
    this.#given = position;
    const isNews = this.#options.clock.nowMs() - storedAtMs < NEWS_MAX_AGE_MS;
    const folding = this.#catalog.upstream
      .follow(fact, place, isNews)
      .then(() => this.#tell())
      .finally(() => this.#folding.delete(folding));
    folding.catch(() => {}); // whoever waits for all of them is told
    this.#folding.add(folding);
    return folding;
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    while (this.#waiting.length > 0) {
      try {
        await this.#placeSome(await this.#current());
      } catch (error) {
        for (const { reject } of this.#waiting.splice(0)) reject(error);
      }
    }
    this.#draining = false;
  }

  /** Decides on the first of those that wait, as many as do not concern the same key, and sends the decisions to the log one behind the other. */
  async #placeSome(log: CatalogLog): Promise<void> {
    const after = this.#catalog.upstream.position;
    const keys = new Set<string>();
    let behind: string | undefined;
    const sent: { waiting: Waiting; change: CatalogChange; taken: Promise<number | undefined> }[] = [];
    while (sent.length < BATCH_MAX) {
      const waiting = this.#waiting[0];
      if (waiting === undefined) break;
      try {
        const change = waiting.decide();
        const key = change === undefined ? undefined : keyOf(change);
        if (key !== undefined && keys.has(key)) break;
        this.#waiting.shift();
        if (change === undefined) {
          waiting.resolve(undefined);
          continue;
        }
        const id = randomUUID();
        const taken = log.append(change, after + sent.length, { id, behind });
        taken.catch(() => {}); // looked at below, when it is its turn
        behind = id;
        if (key !== undefined) keys.add(key);
        sent.push({ waiting, change, taken });
      } catch (error) {
        // Nothing is to become of it, or nothing that can be an entry; the others do not depend on it.
        if (this.#waiting[0] === waiting) this.#waiting.shift();
        waiting.reject(error);
      }
    }
    const late: Waiting[] = [];
    for (const { waiting, change, taken } of sent) {
      try {
        const position = await taken;
        if (position === undefined) {
          late.push(waiting);
          continue;
        }
        await this.#foldOwn(position, change);
        waiting.resolve(change);
      } catch (error) {
        waiting.reject(error);
      }
    }
    if (late.length === 0) return;
    this.#waiting.unshift(...late);
    // Somebody else was first. What was there when it was refused has to be here before anything is decided again.
    if (late.length === sent.length) await this.#moveBeyond(after);
    else await this.catchUp();
  }

  /** The log, when this catalog has what it has. @throws {CatalogBehindError} */
  async #current(): Promise<CatalogLog> {
    if (this.#stopped) throw new CatalogBehindError('the origin is stopping');
    while (!this.#isCaughtUp) await this.#move();
    if (this.#log === undefined) throw new CatalogBehindError('the broker was not reached yet');
    return this.#log;
  }

  async #moveBeyond(position: number): Promise<void> {
    while (this.#catalog.upstream.position <= position) await this.#move();
  }

  /** Resolves when there is something new. @throws {CatalogBehindError} when that takes too long */
  #move(): Promise<void> {
    if (this.#stopped) return Promise.reject(new CatalogBehindError('the origin is stopping'));
    return new Promise((resolve, reject) => {
      const end = (): void => {
        cancel();
        this.#moved.delete(end);
        if (this.#stopped) reject(new CatalogBehindError('the origin is stopping'));
        else resolve();
      };
      const cancel = this.#options.clock.after(PATIENCE_MS, () => {
        this.#moved.delete(end);
        reject(new CatalogBehindError('nothing has come from its log'));
      });
      this.#moved.add(end);
    });
  }

  #tell(): void {
    for (const end of [...this.#moved]) end();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#tell();
    await this.#following?.stop();
  }
}

function otherSource({ source }: CatalogLog, genesis: Genesis): OtherSourceError | undefined {
  const isOther = source !== undefined && genesis.source !== undefined && genesis.source !== source;
  return isOther ? new OtherSourceError(genesis.source, source) : undefined;
}

function keyOf(change: CatalogChange): string | undefined {
  switch (change.kind) {
    case 'object':
      return change.manifest.key;
    case 'removal':
      return change.key;
    case 'invalidation':
      return undefined;
  }
}
