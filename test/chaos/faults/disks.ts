/** Faults of disks: full, failed, slow, and bits that are not what was written. */
import { type FileKind, flipBits } from '../disks/flipped-bits.ts';
import type { OwnDisk } from '../disks/own-disk.ts';
import { type Random, randomOf } from '../random.ts';
import { EDGES, type World } from '../world.ts';
import { type Excuses, type Fault, strikeAlone, type Target } from './fault.ts';

const ORIGIN = 'origin';

interface DiskTarget extends Target {
  /** The member whose disk it is. */
  readonly name: string;
}

function ownersOf({ surroundings, edges }: World): string[] {
  const names = [ORIGIN, ...edges.map(({ member }) => member.name)];
  return names.filter((name) => surroundings.disk(name) !== undefined);
}

async function noDisks(world: World): Promise<string | undefined> {
  if (ownersOf(world).length > 0) return undefined;
  return world.surroundings.missing.disks ?? 'no process of this world has a disk of its own';
}

function aimAtDisk(world: World, random: Random): DiskTarget {
  const name = random.pick(ownersOf(world));
  return { what: `disk of ${name}`, name };
}

/** An origin that cannot write takes no uploads and answers that it does not; it still gives what it has. */
function excusesOfDisk({ name }: DiskTarget): Excuses {
  return name === ORIGIN ? { uploads: true, delivery: true } : { delivery: true };
}

async function strikeDisk(world: World, { name }: DiskTarget, change: (disk: OwnDisk) => Promise<() => Promise<void>>) {
  const disk = world.surroundings.disk(name);
  return disk && strikeAlone(world, [name], () => change(disk));
}

/**
 * No room is left. An edge serves what it holds and fetches through what it cannot keep; it may not be able to note what it is told, and then it must not confirm it.
 * The origin refuses uploads (507 or 503) and loses nothing that it has acknowledged.
 */
export const diskFull: Fault<DiskTarget> = {
  name: 'disk-full',
  weight: 2,
  lastsMs: [500, 10_000],
  unavailable: noDisks,
  aim: aimAtDisk,
  excuses: excusesOfDisk,
  strike: (world, target) =>
    strikeDisk(world, target, async (disk) => {
      await disk.fill();
      return () => disk.free();
    }),
};

/**
 * The file system meets an error and the kernel makes it read-only, with the process running on it; then the process is killed, the file system checked and mounted
 * again. What was not synced is gone, as in a power cut, but this machine has not been started anew.
 */
export const diskFailed: Fault<DiskTarget> = {
  name: 'disk-failed',
  lastsMs: [500, 6_000],
  unavailable: noDisks,
  aim: aimAtDisk,
  excuses: ({ name }) => (name === ORIGIN ? { uploads: true, delivery: true } : { delivery: true, unavailable: [name], forgotten: [name] }),
  strike: (world, target) =>
    strikeDisk(world, target, async (disk) => {
      const member = world.member(target.name);
      await disk.fail();
      return async () => {
        await member.kill();
        await disk.repair();
        await member.start({ ready: false });
      };
    }),
};

interface SlowTarget extends DiskTarget {
  readonly operationsPerSecond: number;
}

/** The disk answers so seldom that everything that waits for it is late. Nothing fails. */
export const diskSlow: Fault<SlowTarget> = {
  name: 'disk-slow',
  lastsMs: [1_000, 10_000],
  unavailable: async (world) => (await noDisks(world)) ?? world.surroundings.missing['slow-disks'],
  aim(world, random) {
    const { name } = aimAtDisk(world, random);
    const operationsPerSecond = random.pick([5, 20, 100]);
    return { what: `disk of ${name}, ${operationsPerSecond} operations/s`, name, operationsPerSecond };
  },
  excuses: ({ name }) => (name === ORIGIN ? { uploads: true, delivery: true } : { delivery: true, unavailable: [name] }),
  strike: (world, target) =>
    strikeDisk(world, target, async (disk) => {
      const slowed = await disk.slow(world.member(target.name).pid, target.operationsPerSecond);
      return () => slowed.end();
    }),
};

interface BitsTarget extends Target {
  readonly edge: string;
  readonly kind: FileKind;
  readonly count: number;
  /** Whether the edge runs meanwhile. */
  readonly running: boolean;
  /** Decides which bits; where they are depends on what files there are then. */
  readonly seed: number;
}

/**
 * Bits of what an edge has on its disk are not what it wrote. It may have to bring anything again, and to begin its index anew, as with a lost disk; what it serves is
 * right all the same, and a damaged file must not end it for good.
 */
export const bitsFlipped: Fault<BitsTarget> = {
  name: 'bits-flipped',
  weight: 2,
  lastsMs: [200, 3_000],
  aim(_, random) {
    const edge = `edge ${random.pick(EDGES).id}`;
    const [kind, running, count] = [random.pick(['blobs', 'databases'] as const), random.chance(0.5), random.integer(1, 30)];
    const what = `${count} bits of the ${kind} of ${edge}${running ? '' : ', which is down'}`;
    return { what, edge, kind, count, running, seed: random.integer(0, 2 ** 31) };
  },
  excuses: ({ edge }) => ({ unavailable: [edge], forgotten: [edge] }),
  strike: (world, { edge, kind, count, running, seed }) =>
    strikeAlone(world, [edge], async () => {
      const member = world.member(edge);
      if (!running) await member.kill();
      await flipBits(member.dataDir, kind, count, randomOf(seed));
      return async () => {
        // An edge may end when it finds its databases damaged: whoever runs it starts it again.
        if (!member.running) await member.start({ ready: false });
      };
    }),
};

export const DISK_FAULTS: readonly Fault[] = [diskFull, diskFailed, diskSlow, bitsFlipped] as readonly Fault[];
