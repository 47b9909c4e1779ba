/** Asks the origin on a visitor's behalf, once per key however many visitors wait. */
import { type Manifest, SluiceError } from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';
import type { CatalogIndex } from '../adapters/catalog-index.ts';
import { isSameUpload, isStale, type Provenance } from '../domain/entry.ts';
import type { Fills } from './fills.ts';
import type { OriginPort, Resolution } from './origin-port.ts';
import type { Replica } from './replica.ts';
import { joinOrBegin } from './transfers.ts';

/** Keys that may be asked for at the same time. */
export const PULLS_MAX = 1_000;
/** How often a key is resolved when each time something newer overtakes the answer. */
const RESOLVE_ATTEMPTS = 3;
/** Before asking again an origin that has not heard yet what this edge has; doubled each time. */
const BEHIND_PAUSE_MS = 100;
/** After a failure to reach the origin, how long those who have something to fall back on do not wait for it again. */
const AWAY_MEMORY_MS = 1_000;

export type Pulled =
  | {
      readonly kind: 'object';
      readonly manifest: Manifest;
      /** 304: what was held is current. 200: something had to be brought. */
      readonly fwdStatus: 200 | 304;
      /** Its bytes are on this edge now, or coming so that they can be read meanwhile. */
      readonly stored: boolean;
      /** Joined a pull that was under way. */
      readonly collapsed: boolean;
    }
  | { readonly kind: 'absent'; readonly collapsed: boolean };

/** The origin cannot be asked now. */
export class OriginAwayError extends SluiceError {
  constructor(cause: unknown) {
    super('ORIGIN_AWAY', 'the origin cannot be reached', { retryable: true, cause });
    this.name = 'OriginAwayError';
  }
}

const AWAY_CODES: ReadonlySet<string> = new Set(['NO_LISTENER', 'NO_REPLY', 'BROKER_AWAY', 'ORIGIN_AWAY', 'SIGNATURE_REFUSED']);

/** What is worth asking again for: the bytes went, or something newer was heard of while they came. */
const OUTPACED_CODES: ReadonlySet<string> = new Set(['BLOB_MISSING', 'ORIGIN_BEHIND']);
/** Who comes later than this after the origin's answer does not join: the answer may have grown old while the bytes come. */
const JOIN_MS = 1_000;

type Found = Pick<Resolution & { found: true }, 'manifest' | 'previous' | 'content'>;

interface Running {
  readonly pulled: Promise<Pulled>;
  /** When the origin answered, undefined before; monotonic. */
  answeredAtMs?: number;
}

export class Puller {
  readonly #index: CatalogIndex;
  readonly #replica: Replica;
  readonly #origin: OriginPort;
  readonly #fills: Pick<Fills, 'watch'>;
  readonly #clock: Clock;
  readonly #running = new Map<string, Running>();
  #awayUntilMs = 0;

  constructor(parts: {
    index: CatalogIndex;
    replica: Replica;
    fills: Pick<Fills, 'watch'>;
    origin: OriginPort;
    clock: Clock;
  }) {
    this.#index = parts.index;
    this.#replica = parts.replica;
    this.#origin = parts.origin;
    this.#fills = parts.fills;
    this.#clock = parts.clock;
  }

  /**
   * The origin's word on a key, with the bytes brought here when they are new. `impatient`: fail at once when the origin could not be
   * reached a moment ago.
   * @throws {OriginAwayError} when it cannot be asked
   * @throws {SluiceError} when it was asked and bytes could not be brought
   */
  async pull(key: string, impatient: boolean): Promise<Pulled> {
    return joinOrBegin(
      () => {
        const running = this.#joinable(key);
        return running && this.#told(running.pulled).then((pulled) => ({ ...pulled, collapsed: true }));
      },
      () => this.#begin(key, impatient),
    );
  }

  async #begin(key: string, impatient: boolean): Promise<Pulled> {
    if (impatient && this.#clock.monotonicMs() < this.#awayUntilMs) throw new OriginAwayError(undefined);
    if (this.#running.size >= PULLS_MAX)
      throw new SluiceError('EDGE_BUSY', 'too many pulls are under way on this edge', { retryable: true });
    const running: Running = {
      pulled: this.#pull(key, () => {
        running.answeredAtMs = this.#clock.monotonicMs();
      }).finally(() => {
        if (this.#running.get(key) === running) this.#running.delete(key);
      }),
    };
    this.#running.set(key, running);
    return this.#told(running.pulled);
  }

  #joinable(key: string): Running | undefined {
    const running = this.#running.get(key);
    const isOld = running?.answeredAtMs !== undefined && this.#clock.monotonicMs() - running.answeredAtMs > JOIN_MS;
    return isOld ? undefined : running;
  }

  async #told(pulled: Promise<Pulled>): Promise<Pulled> {
    try {
      return await pulled;
    } catch (error) {
      if (!(error instanceof SluiceError) || !AWAY_CODES.has(error.code)) throw error;
      this.#awayUntilMs = this.#clock.monotonicMs() + AWAY_MEMORY_MS;
      throw new OriginAwayError(error);
    }
  }

  async #pull(key: string, answered: () => void): Promise<Pulled> {
    // The caller has to know this pull before it is answered.
    await Promise.resolve();
    for (let attempt = 1; ; attempt++) {
      const known = this.#index.get(key);
      const heardOf = Math.max(known?.version ?? 0, known?.staleAt ?? 0, this.#index.heardOf);
      const resolution = await this.#origin.resolve(key, [], known?.manifest === undefined, heardOf);
      this.#awayUntilMs = 0;
      answered();
      try {
        const newer = this.#knownBeyond(key, resolution);
        if (newer !== undefined) return await this.#take({ manifest: newer }, { kind: 'announced' });
        if (!resolution.found) return await this.#absent(key, resolution);
        return await this.#take(resolution, { kind: 'resolved', asOf: resolution.asOf });
      } catch (error) {
        if (!(error instanceof SluiceError) || !OUTPACED_CODES.has(error.code) || attempt === RESOLVE_ATTEMPTS) throw error;
        if (error.code === 'ORIGIN_BEHIND') await this.#pause(BEHIND_PAUSE_MS * 2 ** (attempt - 1));
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }

  /** What this edge was told of a key that the one of several origins who answered has not heard of yet; undefined when nothing is newer than the answer. @throws ORIGIN_BEHIND */
  #knownBeyond(key: string, resolution: Resolution): Manifest | undefined {
    const known = this.#index.get(key);
    if (known?.manifest === undefined || known.version <= versionOf(resolution)) return undefined;
    // What has been invalidated since needs the word of an origin that knows.
    if (isStale(known)) throw new SluiceError('ORIGIN_BEHIND', 'the origin has not heard yet what this edge has', { retryable: true });
    return known.manifest;
  }

  async #take({ manifest, previous, content }: Found, provenance: Provenance): Promise<Pulled> {
    const before = this.#index.get(manifest.key);
    const sources = { bases: previous === undefined ? [] : [previous.sha256], content };
    const watch = this.#fills.watch(manifest.sha256);
    const bringing = this.#replica.store(manifest, provenance, sources).finally(() => watch.stop());
    const stored = await Promise.race([bringing, watch.readable]);
    if (stored === undefined) {
      // From here on others are served this version: the index has to know it before its bytes are complete.
      await this.#replica.learn(manifest, provenance);
      bringing.catch(() => {}); // those who read it are told by its growth
    }
    const after = this.#index.get(manifest.key);
    // The origin has fallen behind what this edge has already seen: never go back, let the visitor have what is newest here.
    if (after?.manifest === undefined || after.version !== manifest.version) {
      throw new SluiceError('ORIGIN_BEHIND', 'the origin answered with an older version than this edge knows', { retryable: true });
    }
    // An invalidation was confirmed while the bytes came: what the origin said before it says nothing any more.
    if (isStale(after)) throw new SluiceError('ORIGIN_BEHIND', 'an invalidation overtook the answer of the origin', { retryable: true });
    // What is not kept has to be brought again for this visitor.
    const kept = stored?.outcome !== 'metadata';
    const unchanged = kept && isSameUpload(before?.manifest, manifest) && stored?.bytes === 0;
    return { kind: 'object', manifest, fwdStatus: unchanged ? 304 : 200, stored: kept, collapsed: false };
  }

  async #absent(key: string, resolution: Resolution & { found: false }): Promise<Pulled> {
    const known = this.#index.get(key);
    const version = versionOf(resolution);
    if (known !== undefined && known.version < version)
      await this.#replica.carryOut({ op: 'remove', eventId: 'pull', key, version, reason: 'deleted' });
    return { kind: 'absent', collapsed: false };
  }
}

/** Of what an answer says: everything newer is unknown to who gave it. */
function versionOf(resolution: Resolution): number {
  return resolution.found ? resolution.manifest.version : (resolution.removed?.version ?? resolution.asOf);
}
