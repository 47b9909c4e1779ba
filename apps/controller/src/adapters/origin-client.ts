/** Asks the origin for the truth. */
import type { Bus } from '@sluice/bus';
import { INLINE_CONTENT_MAX_BYTES, ORIGIN_FETCH } from '@sluice/contracts';
import { type KeyState, keyState } from '../domain/planner.ts';
import type { OriginReader } from '../ports.ts';

const RESOLVE_TIMEOUT_MS = 5_000;
/** Without an answer for so long, the same is asked again meanwhile: one of several origins may hang. */
const AGAIN_MS = 200;
/** An invalidation does not wait longer than this for the origin. */
const NEWEST_TIMEOUT_MS = 1_000;
/** Any key does: the answer to every `resolve` says how far the catalog has come. */
const ANY_KEY = 'sluice/newest-version';

export class OriginClient implements OriginReader {
  readonly #bus: Pick<Bus, 'request'>;

  constructor(bus: Pick<Bus, 'request'>) {
    this.#bus = bus;
  }

  async stateOf(key: string, withContent: boolean, atLeast: number): Promise<KeyState | undefined> {
    const inlineMaxBytes = withContent ? INLINE_CONTENT_MAX_BYTES : 0;
    const request = { op: 'resolve', key, inlineMaxBytes, atLeast, signed: true } as const;
    return keyState(key, await this.#bus.request(ORIGIN_FETCH, request, { timeoutMs: RESOLVE_TIMEOUT_MS, againAfterMs: AGAIN_MS }));
  }

  async newestVersion(atLeast: number): Promise<number | undefined> {
    try {
      return (
        await this.#bus.request(
          ORIGIN_FETCH,
          { op: 'resolve', key: ANY_KEY, atLeast },
          { timeoutMs: NEWEST_TIMEOUT_MS, againAfterMs: AGAIN_MS },
        )
      ).asOf;
    } catch {
      return undefined;
    }
  }
}
