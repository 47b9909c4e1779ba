/** What may happen to a stack. Each kind of fault is one module; `index.ts` lists them. */
import type { Random } from '../random.ts';
import type { World } from '../world.ts';

/** Which guarantees a fault suspends, and where, while it lasts and until the struck have caught up. The checker excuses nothing else. */
export interface Excuses {
  /** Names of members (`edge us-1`) whose visitors may get errors or wait: they are down, hung, or have lost what they held. */
  readonly unavailable?: readonly string[];
  /** Names of edges that lost their copy: what they held before counts no longer, what they have confirmed may have to be brought again. */
  readonly forgotten?: readonly string[];
  /** Uploads may fail or wait: origin down, hung or out of disk. */
  readonly uploads?: boolean;
  /** Events and pushes may be late: broker, controllers or links are struck. Time limits do not count. */
  readonly delivery?: boolean;
  /** The broker has lost events: their outcomes may never come. Edges find the changes by catching up. */
  readonly events?: boolean;
}

/** One strike of a fault that a plan has decided: everything but the moment. JSON, so that it stands in the log. */
export interface Target {
  /** Shown in the timeline: `edge us-1`, `broker`, `edge in-1 → broker, 200 ms`. */
  readonly what: string;
  readonly [detail: string]: unknown;
}

export interface Fault<Aim extends Target = Target> {
  /** In kebab case: `kill`, `hang`, `broker-store-wiped`. */
  readonly name: string;
  /** How often it strikes in comparison with others; 1 where nothing is said. */
  readonly weight?: number;
  /** Why it cannot be had on this machine or in this world; undefined: it can. Asked once, at the start of a run. */
  unavailable?(world: World): Promise<string | undefined>;
  /** What to strike, from the seed and the names in the world alone: it must not depend on what happened before. */
  aim(world: World, random: Random): Aim;
  /** What this strike suspends. */
  excuses(target: Aim): Excuses;
  /** How long it may last, milliseconds. The plan draws from it. */
  readonly lastsMs: readonly [min: number, max: number];
  /**
   * Strikes. Resolves when it has struck, to what heals it; that resolves when the struck part runs again (it may still have to catch up).
   * Undefined: the target is struck by something else at the moment, nothing was done.
   */
  strike(world: World, target: Aim): Promise<(() => Promise<void>) | undefined>;
}

/** Strikes when nothing else has struck these parts, and keeps them until it is healed. Undefined: one of them is taken, nothing was done. */
export async function strikeAlone(
  world: Pick<World, 'claim'>,
  parts: readonly string[],
  strike: () => Promise<() => void | Promise<void>>,
): Promise<(() => Promise<void>) | undefined> {
  const release = world.claim(parts);
  if (release === undefined) return undefined;
  const heal = await strike();
  return async () => {
    await heal();
    release();
  };
}
