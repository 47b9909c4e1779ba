/** How long the client waits between two attempts to connect, also when somebody sets the clock meanwhile. */

export interface Clocks {
  /** Milliseconds since the epoch, by a clock that can be set. */
  readonly wall: () => number;
  /** Milliseconds by a clock that cannot. */
  readonly monotonic: () => number;
}

export interface ReconnectDelayOptions {
  readonly waitMs: number;
  readonly jitterMs: number;
  /** Servers that are tried in turn. */
  readonly servers: number;
  readonly clocks?: Clocks;
  readonly rng?: () => number;
}

/** The two clocks are not read at the same instant. */
const SET_BACK_ROUNDING_MS = 2;
const SYSTEM_CLOCKS: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() };

/**
 * For `reconnectDelayHandler`. The client remembers by the wall clock when it has last tried a server, and tries it again when that was long enough ago (nats-core 3, `dodialLoop`). A clock
 * that was set back by two hours would keep it away for two hours: so for once each server may be tried at once.
 */
export function reconnectDelay({
  waitMs,
  jitterMs,
  servers,
  clocks = SYSTEM_CLOCKS,
  rng = Math.random,
}: ReconnectDelayOptions): () => number {
  const aheadMs = (): number => clocks.wall() - clocks.monotonic();
  let knownMs = aheadMs();
  let setBackMs = 0;
  let owed = 0;
  return () => {
    const nowMs = aheadMs();
    if (nowMs < knownMs - waitMs) {
      setBackMs = (owed > 0 ? setBackMs : 0) + knownMs - nowMs;
      owed = servers;
    }
    knownMs = nowMs;
    if (owed === 0) return waitMs + rng() * jitterMs;
    owed -= 1;
    // Without a wait: one that has not passed yet would be found in the future again the next time.
    return -setBackMs - SET_BACK_ROUNDING_MS;
  };
}
