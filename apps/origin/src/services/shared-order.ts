/**
 * The order of changes that several origins share: each decides on what its own catalog is, and the log takes the decision only when that catalog had everything before it. So no
 * origin leads, and one that goes away leaves nothing behind that others would have to take over.
 */
import { randomUUID } from 'node:crypto';
import { type CatalogEntry, SluiceError } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import PQueue from 'p-queue';
import type { Catalog } from '../adapters/catalog/catalog.ts';
import type { PruneBatch } from '../adapters/catalog/feed-pruner.ts';
import { type CatalogLog, changeOf, type Genesis, type PlacedEntry } from '../adapters/nats/catalog-log.ts';
import type { CatalogChange } from '../domain/catalog-change.ts';
import { mintVersion } from '../domain/version.ts';
import type { ChangeOrder } from './change-order.ts';

/** Changes that may wait for their places. */
export const WAITING_MAX = 10_000;
/** Changes on their way to the log at once. */
const BATCH_MAX = 64;
/** An entry older than this is no news: who can hear of it has, or catches up. Below the stream's duplicate window, in which an event that several origins announce is one. */
export const NEWS_MAX_AGE_MS = 60_000;
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

interface Waiting {
  readonly decide: () => CatalogChange | undefined;
  readonly resolve: (placed: CatalogChange | undefined) => void;
  readonly reject: (error: unknown) => void;
}

type FollowedCatalog = Pick<
  Catalog,
  'id' | 'position' | 'lastVersion' | 'horizon' | 'follow' | 'beginAnew' | 'setListed' | 'isListed' | 'raiseHorizon'
>;

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
  #stopped = false;
  /** Called when the position has grown, or nothing is left to follow for now. */
  readonly #moved = new Set<() => void>();

  constructor(options: SharedOrderOptions) {
    this.#options = options;
  }

  /** The broker is there: begins to follow. */
  start(log: CatalogLog): void {
    this.#log = log;
    this.#following = log.follow({
      position: () => this.#catalog.position,
      onEntry: (placed) => this.#take(placed),
      caughtUp: () => {
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
    while (!this.#catalog.isListed) await this.#say({ kind: 'listed' }, (log, after) => log.sayListed(after));
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
  async #say(entry: CatalogEntry, append: (log: CatalogLog, after: number) => Promise<number | undefined>): Promise<void> {
    const log = await this.#current();
    const after = this.#catalog.position;
    const position = await append(log, after);
    if (position === undefined) await this.#moveBeyond(after);
    else await this.#fold({ position, storedAtMs: this.#options.clock.nowMs(), entry });
  }

  /** Resolves when this catalog has everything that the log has now. @throws {CatalogBehindError} */
  async catchUp(): Promise<void> {
    const log = await this.#current();
    const last = await log.last();
    while (this.#catalog.position < last) await this.#move();
  }

  /** Makes sure that log and catalog are of one kind: another log than before, or one that has lost what this catalog has, and the catalog begins anew. */
  async #meet(log: CatalogLog): Promise<void> {
    this.#isCaughtUp = false;
    await log.ensure();
    for (;;) {
      const last = await log.last();
      const genesis = await log.genesis();
      const { id, position, lastVersion } = this.#catalog;
      const isKnown = genesis !== undefined && genesis.catalogId === id;
      const hasLost = isKnown && last < position;
      // Versions must not go back, also where the log was begun by an origin that knew less.
      const isBehind = !isKnown && position > 0 && genesis !== undefined && genesis.version < lastVersion;
      if (genesis !== undefined && !hasLost && !isBehind) {
        // Away for so long that removals it has not heard of are not in the log any more.
        const hasMissed = isKnown && lastVersion < (await log.forgotten());
        if (!isKnown || hasMissed) await this.#beginAnew(genesis);
        return;
      }
      this.#options.log.warn({ last, position }, 'the log of the catalog is empty or has lost something, it begins anew');
      await log.begin(last, mintVersion(this.#options.clock.nowMs(), position > 0 ? lastVersion : 0));
    }
  }

  async #beginAnew(genesis: Genesis): Promise<void> {
    this.#options.log.warn(genesis, 'the log is of another catalog, or has forgotten what this one has missed: it begins anew');
    await this.#catalog.beginAnew(genesis);
    this.#options.onAnew?.();
  }

  async #take(placed: PlacedEntry): Promise<void> {
    if (placed.position <= this.#catalog.position) return;
    const { entry } = placed;
    if (entry.kind === 'genesis') await this.#beginAnew({ ...entry, position: placed.position });
    else await this.#fold(placed);
    this.#tell();
  }

  async #fold({ position, storedAtMs, entry }: PlacedEntry): Promise<void> {
    const isNews = this.#options.clock.nowMs() - storedAtMs < NEWS_MAX_AGE_MS;
    // Before the position says that it was done.
    if (entry.kind === 'listed') await this.#catalog.setListed();
    if (entry.kind === 'forgotten') await this.#catalog.raiseHorizon(entry.version);
    await this.#catalog.follow(changeOf(entry), position, isNews);
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    while (this.#waiting.length > 0 && !this.#stopped) {
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
    const after = this.#catalog.position;
    const keys = new Set<string>();
    let behind: string | undefined;
    const sent: { waiting: Waiting; change: CatalogChange; taken: Promise<number | undefined> }[] = [];
    while (sent.length < BATCH_MAX) {
      const waiting = this.#waiting[0];
      if (waiting === undefined) break;
      let change: CatalogChange | undefined;
      try {
        change = waiting.decide();
      } catch (error) {
        this.#waiting.shift();
        waiting.reject(error);
        continue;
      }
      const key = change === undefined ? undefined : keyOf(change);
      if (key !== undefined && keys.has(key)) break;
      this.#waiting.shift();
      if (change === undefined) {
        waiting.resolve(undefined);
        continue;
      }
      if (key !== undefined) keys.add(key);
      const id = randomUUID();
      const taken = log.append(change, after + sent.length, { id, behind });
      behind = id;
      taken.catch(() => {}); // looked at below, when it is its turn
      sent.push({ waiting, change, taken });
    }
    const late: Waiting[] = [];
    for (const { waiting, change, taken } of sent) {
      try {
        const position = await taken;
        if (position === undefined) {
          late.push(waiting);
          continue;
        }
        await this.#catalog.follow(change, position, true);
        this.#tell();
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
    while (!this.#isCaughtUp) await this.#move();
    if (this.#log === undefined) throw new CatalogBehindError('the broker was not reached yet');
    return this.#log;
  }

  async #moveBeyond(position: number): Promise<void> {
    while (this.#catalog.position <= position) await this.#move();
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
