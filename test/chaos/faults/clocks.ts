/** Wall clocks that jump, as when somebody sets them, or a machine comes back with a wrong one. */
import type { World } from '../world.ts';
import { type Fault, strikeAlone, type Target } from './fault.ts';
import { edgesWith } from './links.ts';

const HOUR_MS = 3_600_000;
const JUMPS_MS = [-48, -2, -1 / 60, 1 / 60, 2, 48].map((hours) => hours * HOUR_MS);

interface ClockTarget extends Target {
  readonly name: string;
  readonly ms: number;
}

function ownersOf(world: World): string[] {
  const others = ['origin', 'controller', 'controller-2'].filter((name) => world.surroundings.clock(name) !== undefined);
  return [...others, ...edgesWith(world, 'clock')];
}

/**
 * The clock of one process is off by minutes or hours, and right again later. Versions, leases and deadlines do not depend on it. What does: `Age`, `Expires` and
 * signed links, which nobody checks meanwhile, and what the origin's feed remembers by time, whose loss makes edges list everything.
 */
export const clockJumps: Fault<ClockTarget> = {
  name: 'clock-jumps',
  weight: 2,
  lastsMs: [2_000, 15_000],
  unavailable: async (world) =>
    ownersOf(world).length > 0 ? undefined : (world.surroundings.missing.clocks ?? 'no process of this world has a clock of its own'),
  aim(world, random) {
    const [name, ms] = [random.pick(ownersOf(world)), random.pick(JUMPS_MS)];
    return { what: `clock of ${name}, ${ms > 0 ? '+' : ''}${Math.round(ms / 60_000)} min`, name, ms };
  },
  excuses: () => ({}),
  async strike(world, { name, ms }) {
    const clock = world.surroundings.clock(name);
    if (clock === undefined) return undefined;
    return strikeAlone(world, [`clock of ${name}`], async () => {
      await clock.shift(ms);
      return () => clock.shift(0);
    });
  },
};

export const CLOCK_FAULTS: readonly Fault[] = [clockJumps] as readonly Fault[];
