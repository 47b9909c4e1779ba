/** The stack that is struck: broker, origin, two controllers and edges in three regions as processes, each behind links that can be cut. */
import { join } from 'node:path';
import { type Broker, freePort, type Member, Stack } from '@sluice/stack';
import type { Link } from './links/link.ts';
import type { Surroundings } from './surroundings.ts';

export interface WorldEdge {
  readonly id: string;
  readonly region: string;
}
export const EDGES: readonly WorldEdge[] = [
  { id: 'us-1', region: 'US' },
  { id: 'us-2', region: 'US' },
  { id: 'in-1', region: 'IN' },
  { id: 'eu-1', region: 'EU' },
];
/** Comes, leaves for long, and comes back. */
export const GUEST: WorldEdge = { id: 'eu-guest', region: 'EU' };
export const REGIONS = ['US', 'IN', 'EU'] as const;

/** Shorter than in production, so that a run sees many of them. */
export const CATCH_UP_MS = 5_000;
/** Removals and invalidations that the origin's feed remembers: so few that an edge that returns after long has to start over. */
const FEED_MAX_ROWS = 60;

export interface WorldOptions {
  readonly dataDir: string;
  /** They outlive the world. */
  readonly surroundings: Surroundings;
}

/** What faults, operations and the checker get to see. */
export interface World extends AsyncDisposable {
  readonly stack: Stack;
  readonly broker: Broker;
  readonly origin: Member;
  readonly controllers: readonly Member[];
  /** Those that are in the stack from the start; faults may strike them. */
  readonly edges: readonly (WorldEdge & { readonly member: Member })[];
  /** Origin, controllers and edges by name; see `Member.dataDir`, `pause`, `kill`, `wipe`, `start`. */
  member(name: string): Member;
  /** By the client's name; `edges → origin` is shared by all edges. Undefined: this world has no such link. */
  link(client: string, service: 'broker' | 'origin'): Link | undefined;
  /**
   * Reserves parts (`broker`, names of members, names of links) for a fault, so that no two strike the same at once. Undefined: one of them is taken.
   * The returned function gives them back.
   */
  claim(parts: readonly string[]): (() => void) | undefined;
  readonly taken: ReadonlySet<string>;
  /** Where a fault may keep what it needs, beside the stack's data. */
  readonly scratchDir: string;
  /** Disks, clocks, hosts and the proxy before the broker, as far as this machine has them. */
  readonly surroundings: Surroundings;
}

export async function openWorld({ dataDir, surroundings }: WorldOptions): Promise<World> {
  const links = new Map<string, Link>();
  const [brokerPort, originPort] = [await freePort(), await freePort()];
  const link = async (client: string, service: 'broker' | 'origin', port: number): Promise<Link> => {
    const made = await surroundings.wiring.link(client, service, { host: '127.0.0.1', port });
    links.set(`${client} → ${service}`, made);
    return made;
  };
  const toOrigin = await link('edges', 'origin', originPort);
  const stack = await Stack.start({
    dataDir: join(dataDir, 'stack'),
    edges: EDGES,
    controllers: 2,
    ports: { broker: brokerPort, origin: originPort },
    readyTimeoutMs: 120_000,
    env: {
      origin: {
        ORIGIN_FEED_MAX_ROWS: String(FEED_MAX_ROWS),
        ORIGIN_URL: `http://${toOrigin.host}:${toOrigin.port}`,
      },
      controller: { CONTROLLER_ACK_WAIT_MS: '5000' },
      edge: { EDGE_CATCH_UP_INTERVAL_MS: String(CATCH_UP_MS) },
    },
    placeOf: surroundings.placeOf,
    envOf: async (name) => {
      const toBroker = await link(name, 'broker', brokerPort);
      return { NATS_URL: `nats://${toBroker.host}:${toBroker.port}`, ...surroundings.envOf(name) };
    },
  });
  const taken = new Set<string>();
  return {
    stack,
    broker: stack.broker,
    origin: stack.origin,
    controllers: stack.controllers,
    edges: EDGES.map((edge) => ({ ...edge, member: stack.edge(edge.id) })),
    member(name) {
      const found = stack.members.find((member) => member.name === name);
      if (found === undefined) throw new Error(`this world has no ${name}`);
      return found;
    },
    link: (client, service) => links.get(`${client} → ${service}`),
    claim(parts) {
      if (parts.some((part) => taken.has(part))) return undefined;
      for (const part of parts) taken.add(part);
      return () => {
        for (const part of parts) taken.delete(part);
      };
    },
    taken,
    scratchDir: join(dataDir, 'scratch'),
    surroundings,
    [Symbol.asyncDispose]: () => stack.stop(),
  };
}
