/** What a request for a key comes to: what is held where the rules allow it, what the origin says where they demand that. */
import type { BlobView } from '@sluice/blobs';
import { type Manifest, SluiceError } from '@sluice/contracts';
import type { CacheDirectives } from '@sluice/http-semantics';
import type { Clock, Logger } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';
import type { CatalogView } from '../adapters/catalog-view.ts';
import type { Stamp } from '../adapters/index-stamps.ts';
import type { ReplicaState } from '../adapters/replica-state.ts';
import type { CacheHandling } from '../domain/cache-status.ts';
import { ageSeconds } from '../domain/freshness.ts';
import { type Lookup, lookUp } from '../domain/lookup.ts';
import type { RequestResult } from '../metrics.ts';
import type { AbsentKeys } from './absent-keys.ts';
import type { MemoryTier } from './memory-tier.ts';
import type { Pulled } from './puller.ts';
import type { ReadableFills } from './readable-fills.ts';
import type { PullQuestion } from './serving-messages.ts';

/** After a revalidation in the background has failed, how long none is tried for its key. */
const REVALIDATION_REST_MS = 5_000;
const RESTING_MAX = 10_000;
/** How often a key is looked up when each time it has changed before the origin was asked. */
const LOOKUP_ATTEMPTS = 3;

export interface AnswersParts {
  readonly index: CatalogView;
  readonly blobs: BlobView;
  readonly memory: MemoryTier;
  readonly fills: ReadableFills;
  readonly state: ReplicaState;
  readonly absentKeys: AbsentKeys;
  /** The origin's word on a key, see `Puller.pull`. */
  readonly pull: (question: PullQuestion) => Promise<Pulled | { readonly kind: 'moved' }>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a request comes to: bytes to send, or a status without them. */
export type Answer =
  | {
      readonly kind: 'object';
      readonly manifest: Manifest;
      /** Seconds since this edge last knew that it is current. */
      readonly ageSeconds: number;
      readonly handling: CacheHandling;
      readonly result: RequestResult;
      readonly detached?: boolean;
    }
  | {
      readonly kind: 'status';
      readonly status: 404 | 502 | 503 | 504;
      readonly message: string;
      readonly handling: CacheHandling;
      readonly result: RequestResult;
    };

export type StatusAnswer = Answer & { kind: 'status' };

export class Answers {
  readonly #parts: AnswersParts;
  /** Keys whose revalidation is under way. */
  readonly #revalidating = new Set<string>();
  /** Keys whose revalidation has failed a moment ago: their visitors are served, and the origin is left alone. */
  readonly #restingUntilMs = new LRUCache<string, number>({ max: RESTING_MAX });

  constructor(parts: AnswersParts) {
    this.#parts = parts;
  }

  /** What a visitor gets who asks for `key` with such wishes in its Cache-Control; a promise of it when the origin has to be asked. Never rejects. */
  of(key: string, wishes: CacheDirectives): Answer | Promise<Answer> {
    return this.hit(key, wishes) ?? this.#elsewhere(key, wishes, 1);
  }

  /** What is held where it may be served as it is; else undefined. */
  hit(key: string, wishes: CacheDirectives): (Answer & { kind: 'object' }) | undefined {
    return this.#hit(key, wishes, undefined);
  }

  /** The same for who finds out by itself whether the bytes are here. */
  hitIfHeld(key: string, wishes: CacheDirectives): (Answer & { kind: 'object' }) | undefined {
    return this.#hit(key, wishes, () => true);
  }

  #hit(key: string, wishes: CacheDirectives, has: ((sha256: string) => boolean) | undefined): (Answer & { kind: 'object' }) | undefined {
    const lookup = this.#lookUp(key, wishes, has);
    if (lookup.kind !== 'hit') return undefined;
    const { manifest, ageSeconds: age, ttlSeconds, revalidate } = lookup;
    if (revalidate) this.#revalidate(key);
    return { kind: 'object', manifest, ageSeconds: age, handling: { hit: true, ttlSeconds }, result: 'hit' };
  }

  /** For what is not simply served. The stamp is taken before the look-up, so that what the origin is asked is what was found wanting. */
  #elsewhere(key: string, wishes: CacheDirectives, attempt: number): Answer | Promise<Answer> {
    const { index, fills } = this.#parts;
    const stamp = index.stamp(key);
    const lookup = this.#lookUp(key, wishes);
    if (lookup.kind === 'hit') return this.of(key, wishes);
    if (lookup.kind === 'absent') return notFound({ hit: true, detail: 'negative' });
    // RFC 9111 §5.2.1.7.
    if (wishes.has('only-if-cached')) return notCached();
    const awaited = lookup.reason === 'miss' ? index.get(key)?.manifest : undefined;
    if (awaited !== undefined && fills.has(awaited.sha256)) {
      const handling = { fwd: 'miss', fwdStatus: 200, stored: true, collapsed: true } as const;
      return { kind: 'object', manifest: awaited, ageSeconds: this.#ageSeconds(key), handling, result: 'miss' };
    }
    return this.#forward(key, lookup, wishes, stamp, attempt);
  }

  #has(sha256: string): boolean {
    const { blobs, memory } = this.#parts;
    return memory.has(sha256) || blobs.has(sha256);
  }

  #lookUp(key: string, wishes: CacheDirectives, has = (sha256: string) => this.#has(sha256)): Lookup {
    const { index, absentKeys, clock, state } = this.#parts;
    return lookUp(key, index.get(key), {
      has,
      isKnownAbsent: (absent) => absentKeys.has(absent),
      isDoubtful: state.isDoubtful,
      caughtUpAtMs: state.caughtUpAtMs,
      nowMs: clock.nowMs(),
      wishes,
    });
  }

  /** Confirms an object behind the back of the visitor who was served it (RFC 5861 §3). When that fails, the next one finds it as it is. */
  #revalidate(key: string): void {
    const { clock, log, pull } = this.#parts;
    if (this.#revalidating.has(key) || (this.#restingUntilMs.get(key) ?? 0) > clock.monotonicMs()) return;
    this.#revalidating.add(key);
    pull({ key, impatient: true, stamp: this.#parts.index.stamp(key) })
      .catch((err: unknown) => {
        this.#restingUntilMs.set(key, clock.monotonicMs() + REVALIDATION_REST_MS);
        log.debug({ key, err }, 'revalidation in the background failed');
      })
      .finally(() => this.#revalidating.delete(key));
  }

  async #forward(
    key: string,
    { reason: fwd, fallback }: Lookup & { kind: 'forward' },
    wishes: CacheDirectives,
    stamp: Stamp | undefined,
    attempt: number,
  ): Promise<Answer> {
    const { absentKeys, pull } = this.#parts;
    try {
      const pulled = await pull({ key, impatient: fallback !== undefined, stamp: attempt < LOOKUP_ATTEMPTS ? stamp : undefined });
      if (pulled.kind === 'moved') return this.#elsewhere(key, wishes, attempt + 1);
      const { collapsed } = pulled;
      if (pulled.kind === 'absent') {
        absentKeys.remember(key, stamp);
        return notFound({ fwd, fwdStatus: 404, collapsed });
      }
      const { manifest, fwdStatus, stored } = pulled;
      const result = fwdStatus === 304 ? 'revalidated' : 'miss';
      return {
        kind: 'object',
        manifest,
        ageSeconds: this.#ageSeconds(key),
        handling: { fwd, fwdStatus, stored: stored && fwdStatus === 200, collapsed },
        result,
        detached: !stored,
      };
    } catch (error) {
      const detail = error instanceof SluiceError ? error.code.toLowerCase().replaceAll('_', '-') : 'internal-error';
      return this.#withoutOrigin(key, error, { fwd, detail }, wishes);
    }
  }

  #ageSeconds(key: string): number {
    const { index, clock, state } = this.#parts;
    const entry = index.get(key);
    return entry === undefined ? 0 : ageSeconds(entry, state.caughtUpAtMs, clock.nowMs());
  }

  /** What is left when the origin could not be asked: what is held now, which may be newer than what was held when the visitor came. */
  #withoutOrigin(key: string, error: unknown, handling: CacheHandling, wishes: CacheDirectives): Answer {
    // A busy edge has not asked: then nothing that needs asking may be served.
    if (codeOf(error) === 'EDGE_BUSY') return unavailable(error, handling);
    const now = this.#lookUp(key, wishes);
    const held = now.kind === 'hit' ? now.manifest : now.kind === 'forward' ? now.fallback : 'absent';
    if (held === 'absent') return notFound(handling);
    if (held !== undefined) return { kind: 'object', manifest: held, ageSeconds: this.#ageSeconds(key), handling, result: 'stale' };
    return unavailable(error, handling);
  }
}

export function notFound(handling: CacheHandling): StatusAnswer {
  return { kind: 'status', status: 404, message: 'there is no such object', handling, result: 'absent' };
}

function notCached(): StatusAnswer {
  const message = 'this edge would have to ask the origin, and the request forbids that';
  return { kind: 'status', status: 504, message, handling: { detail: 'only-if-cached' }, result: 'unavailable' };
}

export function unavailable(error: unknown, handling: CacheHandling): StatusAnswer {
  const base = { kind: 'status', handling, result: 'unavailable' } as const;
  const code = codeOf(error);
  if (code === 'ORIGIN_AWAY') return { ...base, status: 504, message: 'this edge does not hold the object and cannot reach the origin' };
  if (code === 'EDGE_BUSY') return { ...base, status: 503, message: 'this edge is busy, try again' };
  return { ...base, status: 502, message: 'the object could not be brought from the origin' };
}

function codeOf(error: unknown): string | undefined {
  return error instanceof SluiceError ? error.code : undefined;
}
