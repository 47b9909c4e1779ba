/** Faults of what connects the processes. */
import type { Link } from '../links/link.ts';
import type { Random } from '../random.ts';
import { EDGES, type World } from '../world.ts';
import { type Excuses, type Fault, strikeAlone, type Target } from './fault.ts';

interface LinkTarget extends Target {
  readonly client: string;
  readonly service: 'broker' | 'origin';
  /** Milliseconds, bytes each second or a share, as the fault has it. */
  readonly amount: number;
}

const CLIENTS = ['origin', 'controller', 'controller-2', ...EDGES.map(({ id }) => `edge ${id}`)];
const LINKS = [
  ...CLIENTS.map((client) => ({ client, service: 'broker' }) as const),
  // Shared by all edges and used for large objects only; it comes up no more often than one of the others.
  { client: 'edges', service: 'origin' } as const,
];

interface LinkFault {
  readonly name: string;
  readonly weight?: number;
  /** How bad it is. */
  readonly amount?: (random: Random) => number;
  readonly unit?: string;
  readonly change: (link: Link, amount: number) => Promise<void> | undefined;
}

/** Whoever is behind a bad link is late; what it holds it serves, and visitors reach it another way. */
function linkFault({ name, weight = 1, amount = () => 0, unit, change }: LinkFault): Fault<LinkTarget> {
  return {
    name,
    weight,
    lastsMs: [300, 12_000],
    aim(_, random) {
      const { client, service } = random.pick(LINKS);
      const bad = amount(random);
      return { what: `${client} → ${service}${unit === undefined ? '' : `, ${bad} ${unit}`}`, client, service, amount: bad };
    },
    excuses: excusesOfLink,
    async strike(world, { client, service, amount: bad }) {
      const link = world.link(client, service);
      if (link === undefined) return undefined;
      return strikeAlone(world, [link.name], async () => {
        await change(link, bad);
        return () => link.heal();
      });
    },
  };
}

/** Through its link an edge asks for what it does not hold, or has to confirm: those visitors wait, and may be told 504. */
function excusesOfLink({ client, service }: LinkTarget): Excuses {
  if (service === 'origin') return { delivery: true };
  if (client === 'origin') return { delivery: true, unavailable: EDGES.map(({ id }) => `edge ${id}`) };
  return client.startsWith('edge ') ? { delivery: true, unavailable: [client] } : { delivery: true };
}

/** Every connection is reset and none comes about. */
export const linkCut = linkFault({ name: 'link-cut', weight: 2, change: (link) => link.cut() });
/** A partition: nothing passes, and nobody is told. */
export const linkSilent = linkFault({ name: 'link-silent', weight: 2, change: (link) => link.blackhole() });
/** The service has lost the connection, the client waits for an answer. */
export const linkHalfOpen = linkFault({ name: 'link-half-open', change: (link) => link.halfOpen?.() ?? link.blackhole() });
export const linkLate = linkFault({
  name: 'link-late',
  amount: (random) => random.integer(20, 800),
  unit: 'ms each way',
  change: (link, ms) => link.delay(ms),
});
export const linkNarrow = linkFault({
  name: 'link-narrow',
  amount: (random) => random.pick([20_000, 100_000, 1_000_000]),
  unit: 'bytes/s',
  change: (link, bytesPerSecond) => link.limit(bytesPerSecond),
});
export const linkLossy = linkFault({
  name: 'link-lossy',
  amount: (random) => random.pick([1, 5, 20]),
  unit: '% of the packets lost',
  change: (link, percent) => link.lose?.(percent / 100),
});

interface LineTarget extends Target {
  readonly edge: string;
  readonly bytesPerSecond: number;
}

/** All that an edge sends and gets passes a narrow line, visitors' answers too. Those wait; nothing else is excused. */
export const lineNarrow: Fault<LineTarget> = {
  name: 'line-narrow',
  lastsMs: [500, 8_000],
  unavailable: async ({ surroundings, edges }) =>
    edges.some(({ member }) => surroundings.host(member.name) !== undefined)
      ? undefined
      : (surroundings.missing.network ?? 'no edge of this world has a host of its own'),
  aim(world, random) {
    const edge = random.pick(edgesWith(world, 'host'));
    const bytesPerSecond = random.pick([100_000, 500_000, 2_000_000]);
    return { what: `${edge}, ${bytesPerSecond} bytes/s`, edge, bytesPerSecond };
  },
  excuses: ({ edge }) => ({ delivery: true, unavailable: [edge] }),
  async strike(world, { edge, bytesPerSecond }) {
    const host = world.surroundings.host(edge);
    return host && strikeAlone(world, [`line of ${edge}`], () => host.limit(bytesPerSecond));
  },
};

/** Names of the edges that have a host, disk or clock of their own. Never empty where the fault is available. */
export function edgesWith({ surroundings, edges }: World, part: 'host' | 'disk' | 'clock'): string[] {
  return edges.map(({ member }) => member.name).filter((name) => surroundings[part](name) !== undefined);
}

interface EventsTarget extends Target {
  readonly duplicate: number;
  readonly reorder: number;
}

/**
 * Events and pushes come twice, and in another order than they were sent. Nothing is excused but time: an event only wakes a key up, versions order what it says.
 */
export const eventsDisturbed: Fault<EventsTarget> = {
  name: 'events-disturbed',
  weight: 2,
  lastsMs: [2_000, 20_000],
  unavailable: async ({ surroundings }) => (surroundings.events === undefined ? 'nothing stands in front of the broker' : undefined),
  aim(_, random) {
    const [duplicate, reorder] = [random.integer(0, 5) / 10, random.integer(1, 8) / 10];
    return { what: `events and pushes, ${duplicate * 100} % twice and ${reorder * 100} % late`, duplicate, reorder };
  },
  excuses: () => ({ delivery: true }),
  async strike(world, { duplicate, reorder }) {
    const events = world.surroundings.events;
    if (events === undefined) return undefined;
    return strikeAlone(world, ['events'], async () => {
      events.disturb({ duplicate, reorder });
      return () => events.calm();
    });
  },
};

export const LINK_FAULTS: readonly Fault[] = [
  ...[linkCut, linkSilent, linkHalfOpen, linkLate, linkNarrow, linkLossy],
  ...[lineNarrow, eventsDisturbed],
] as readonly Fault[];
