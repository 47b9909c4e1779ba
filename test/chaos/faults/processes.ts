/** Faults of whole processes: killed, hung, and without what they had on their disk. */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from '../random.ts';
import { EDGES, type World } from '../world.ts';
import { type Excuses, type Fault, strikeAlone, type Target } from './fault.ts';

interface OneProcess extends Target {
  readonly what: string;
}

const MEMBERS = ['origin', 'controller', 'controller-2', ...EDGES.map(({ id }) => `edge ${id}`)];
const aimAtAny = (_: World, random: Random): OneProcess => ({ what: random.pick(MEMBERS) });
const aimAtEdge = (_: World, random: Random): OneProcess => ({ what: `edge ${random.pick(EDGES).id}` });

export function excusesOf(name: string): Excuses {
  if (name === 'origin') return { uploads: true, delivery: true };
  if (name === 'broker') return { delivery: true };
  return name.startsWith('edge ') ? { unavailable: [name] } : { delivery: true };
}

/** Stops being there at once, as in a power cut of the process, and starts again on the same data. */
export const kill: Fault<OneProcess> = {
  name: 'kill',
  weight: 4,
  lastsMs: [200, 8_000],
  aim: aimAtAny,
  excuses: ({ what }) => excusesOf(what),
  strike: (world, { what }) =>
    strikeAlone(world, [what], async () => {
      const member = world.member(what);
      await member.kill();
      return () => member.start({ ready: false });
    }),
};

/** Alive, connected, and silent: SIGSTOP. */
export const hang: Fault<OneProcess> = {
  name: 'hang',
  weight: 3,
  lastsMs: [500, 12_000],
  aim: aimAtAny,
  excuses: ({ what }) => excusesOf(what),
  strike: (world, { what }) =>
    strikeAlone(world, [what], async () => {
      const { process: child } = world.member(what);
      child.signal('SIGSTOP');
      return () => child.signal('SIGCONT');
    }),
};

/** A lost disk: the edge is killed and starts with nothing. */
export const edgeWiped: Fault<OneProcess> = {
  name: 'edge-wiped',
  lastsMs: [200, 4_000],
  aim: aimAtEdge,
  excuses: ({ what }) => ({ unavailable: [what], forgotten: [what] }),
  strike: (world, { what }) =>
    strikeAlone(world, [what], async () => {
      const member = world.member(what);
      await member.kill();
      await member.wipe();
      return () => member.start({ ready: false });
    }),
};

const theBroker = (): Target => ({ what: 'broker' });

/** What the broker's end does to its store, before it starts again. */
function brokerFault(name: string, excuses: Excuses, change: (world: World) => Promise<void>, end: 'kill' | 'stop' = 'kill'): Fault {
  return {
    name,
    lastsMs: [200, 6_000],
    aim: theBroker,
    excuses: () => excuses,
    strike: (world) =>
      strikeAlone(world, ['broker'], async () => {
        await world.broker[end]();
        await change(world);
        return () => world.broker.start();
      }),
  };
}

const nothing = async (): Promise<void> => {};
const backupOf = (world: World): string => join(world.scratchDir, 'broker-store');

export const brokerKilled = brokerFault('broker-killed', { delivery: true, events: true }, nothing);
export const brokerRestarted = brokerFault('broker-restarted', { delivery: true }, nothing, 'stop');
export const brokerWiped = brokerFault('broker-wiped', { delivery: true, events: true }, (world) =>
  rm(world.broker.storeDir, { recursive: true, force: true }),
);

/** The store becomes what it was when this struck for the first time; that first time it is only copied. */
export const brokerRestored = brokerFault('broker-restored', { delivery: true, events: true }, async (world) => {
  const { storeDir } = world.broker;
  const restored = await cp(backupOf(world), storeDir, { recursive: true, force: true, errorOnExist: false }).then(
    () => true,
    () => false,
  );
  if (!restored) await cp(storeDir, backupOf(world), { recursive: true });
});

export const brokerHung: Fault = {
  name: 'broker-hung',
  lastsMs: [500, 8_000],
  aim: theBroker,
  excuses: () => ({ delivery: true }),
  strike: (world) =>
    strikeAlone(world, ['broker'], async () => {
      const { pid } = world.broker;
      process.kill(pid, 'SIGSTOP');
      return () => void process.kill(pid, 'SIGCONT');
    }),
};

/** Origin, controllers and broker at once: edges are alone, and serve what they hold. */
export const edgesAlone: Fault = {
  name: 'edges-alone',
  lastsMs: [2_000, 10_000],
  aim: () => ({ what: 'origin, controllers and broker' }),
  excuses: () => ({ uploads: true, delivery: true, events: true }),
  async strike(world) {
    const members = [world.origin, ...world.controllers];
    return strikeAlone(world, ['broker', ...members.map(({ name }) => name)], async () => {
      await Promise.all([...members.map((member) => member.kill()), world.broker.kill()]);
      return async () => {
        await world.broker.start();
        await Promise.all(members.map((member) => member.start({ ready: false })));
      };
    });
  },
};

export const PROCESS_FAULTS: readonly Fault[] = [
  ...[kill, hang, edgeWiped],
  ...[brokerKilled, brokerRestarted, brokerWiped, brokerRestored, brokerHung, edgesAlone],
] as readonly Fault[];
