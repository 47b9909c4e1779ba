/** What a request for a key comes to: what is held where the rules allow it, what the origin says where they demand that. */
import type { BlobStore } from '@sluice/blobs';
import { type Manifest, SluiceError } from '@sluice/contracts';
import type { CacheDirectives } from '@sluice/http-semantics';
import type { Clock, Logger } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';
import type { CatalogIndex } from '../adapters/catalog-index.ts';
import type { CacheHandling } from '../domain/cache-status.ts';
import { type Lookup, lookUp } from '../domain/lookup.ts';
import type { RequestResult } from '../metrics.ts';
import type { AbsentKeys } from './absent-keys.ts';
import type { MemoryTier } from './memory-tier.ts';
import { OriginAwayError, type Puller } from './puller.ts';

/** After a revalidation in the background has failed, how long none is tried for its key. */
const REVALIDATION_REST_MS = 5_000;
const RESTING_MAX = 10_000;

export interface AnswersParts {
  readonly index: CatalogIndex;
  readonly blobs: BlobStore;
  readonly memory: MemoryTier;
  readonly puller: Puller;
  readonly absentKeys: AbsentKeys;
  readonly clock: Clock;
  readonly log: Logger;
  /** When catch-up last vouched for all placed entries, milliseconds since the epoch. */
  readonly caughtUpAtMs: () => number | undefined;
}

/** What a request comes to: bytes to send, or a status without them. */
export type Answer =
  | {
      readonly kind: 'object';
      readonly manifest: Manifest;
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
  /** Keys whose revalidation has failed a moment ago: their visitors are served, and the origin is left alone. */
  readonly #restingUntilMs = new LRUCache<string, number>({ max: RESTING_MAX });

  constructor(parts: AnswersParts) {
    this.#parts = parts;
  }

  /** What a visitor gets who asks for `key` with such wishes in its Cache-Control; a promise of it when the origin has to be asked. Never rejects. */
  of(key: string, wishes: CacheDirectives): Answer | Promise<Answer> {
    const lookup = this.#lookUp(key, wishes);
    if (lookup.kind === 'absent') return notFound({ hit: true, detail: 'negative' });
    if (lookup.kind === 'hit') {
      const { manifest, ttlSeconds, revalidate } = lookup;
      if (revalidate) this.#revalidate(key);
      return { kind: 'object', manifest, handling: { hit: true, ttlSeconds }, result: 'hit' };
    }
    // RFC 9111 §5.2.1.7.
    if (wishes.has('only-if-cached')) return notCached();
    return this.#forward(key, lookup, wishes);
  }

  #lookUp(key: string, wishes: CacheDirectives): Lookup {
    const { index, blobs, memory, absentKeys, clock, caughtUpAtMs } = this.#parts;
    return lookUp(key, index.get(key), {
      has: (sha256) => memory.has(sha256) || blobs.has(sha256),
      isKnownAbsent: (absent) => absentKeys.has(absent),
      isDoubtful: index.isDoubtful,
      caughtUpAtMs: caughtUpAtMs(),
      nowMs: clock.nowMs(),
      wishes,
    });
  }

  /** Confirms an object behind the back of the visitor who was served it (RFC 5861 §3). When that fails, the next one finds it as it is. */
  #revalidate(key: string): void {
    const { puller, clock, log } = this.#parts;
    if (puller.isPulling(key) || (this.#restingUntilMs.get(key) ?? 0) > clock.monotonicMs()) return;
    puller.pull(key, true).catch((err: unknown) => {
      this.#restingUntilMs.set(key, clock.monotonicMs() + REVALIDATION_REST_MS);
      log.debug({ key, err }, 'revalidation in the background failed');
    });
  }

  async #forward(key: string, { reason: fwd, fallback }: Lookup & { kind: 'forward' }, wishes: CacheDirectives): Promise<Answer> {
    const collapsed = this.#parts.puller.isPulling(key);
    try {
      const pulled = await this.#parts.puller.pull(key, fallback !== undefined);
      if (pulled.kind === 'absent') return notFound({ fwd, fwdStatus: 404, collapsed });
      const { manifest, fwdStatus, stored } = pulled;
      const result = fwdStatus === 304 ? 'revalidated' : 'miss';
      return {
        kind: 'object',
        manifest,
        handling: { fwd, fwdStatus, stored: stored && fwdStatus === 200, collapsed },
        result,
        detached: !stored,
      };
    } catch (error) {
      const detail = error instanceof SluiceError ? error.code.toLowerCase().replaceAll('_', '-') : 'internal-error';
      if (!(error instanceof SluiceError)) this.#parts.log.error({ err: error, key }, 'pull failed');
      return this.#withoutOrigin(key, error, { fwd, detail }, wishes);
    }
  }

  /** What is left when the origin could not be asked: what is held now, which may be newer than what was held when the visitor came. */
  #withoutOrigin(key: string, error: unknown, handling: CacheHandling, wishes: CacheDirectives): Answer {
    // A busy edge has not asked: then nothing that needs asking may be served.
    if (error instanceof SluiceError && error.code === 'EDGE_BUSY') return unavailable(error, handling);
    const now = this.#lookUp(key, wishes);
    const held = now.kind === 'hit' ? now.manifest : now.kind === 'forward' ? now.fallback : 'absent';
    if (held === 'absent') return notFound(handling);
    if (held !== undefined) return { kind: 'object', manifest: held, handling, result: 'stale' };
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
  if (error instanceof OriginAwayError)
    return { ...base, status: 504, message: 'this edge does not hold the object and cannot reach the origin' };
  if (error instanceof SluiceError && error.code === 'EDGE_BUSY') return { ...base, status: 503, message: 'this edge is busy, try again' };
  return { ...base, status: 502, message: 'the object could not be brought from the origin' };
}
