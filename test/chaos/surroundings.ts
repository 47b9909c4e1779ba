/**
 * What is put around the processes of a world from outside, so that faults have something to strike: links, the proxy that disturbs events, hosts of a network,
 * disks and clocks. What this machine does not allow is left out; {@link Surroundings.missing} says why.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Place } from '@sluice/stack';
import { ShiftedClock } from './clocks/shifted-clock.ts';
import { OwnDisk } from './disks/own-disk.ts';
import { EventProxy } from './links/event-proxy.ts';
import type { Wiring } from './links/link.ts';
import { Network, type NetworkHost } from './links/network.ts';
import { wiringOf } from './links/wiring.ts';
import type { Random } from './random.ts';

/** Much more than a run needs, and no more than it takes on the machine's own disk: the image is sparse, and so is what fills it. */
const DISK_BYTES = 4 * 1024 ** 3;

export interface SurroundingsOptions {
  readonly random: Random;
  /** Of the stack. */
  readonly dataDir: string;
  /** For what is kept here. */
  readonly scratchDir: string;
  /** Names of members that are to have a host of their own. Only edges: an origin on another address than loopback needs credentials. */
  readonly hosts?: readonly string[];
  readonly disks?: readonly string[];
  readonly clocks?: readonly string[];
}

export interface Surroundings extends AsyncDisposable {
  readonly wiring: Wiring;
  /** In front of the broker; undefined before the first link to that was made. */
  readonly events: EventProxy | undefined;
  host(name: string): NetworkHost | undefined;
  disk(name: string): OwnDisk | undefined;
  clock(name: string): ShiftedClock | undefined;
  /** For the stack. */
  envOf(name: string): Readonly<Record<string, string>>;
  placeOf(name: string): Place | undefined;
  /** Why this machine has no `network`, `disks` or `clocks`, or no way to make disks slow. */
  readonly missing: Readonly<Partial<Record<'network' | 'disks' | 'slow-disks' | 'clocks', string>>>;
}

/** The processes have to be stopped before this is disposed of. */
export async function surround(options: SurroundingsOptions): Promise<Surroundings> {
  const { random, dataDir, scratchDir } = options;
  const missing: { -readonly [Part in keyof Surroundings['missing']]: string } = {};
  const cleanup = new AsyncDisposableStack();
  const may = async (part: keyof Surroundings['missing'], reason: Promise<string | undefined>): Promise<boolean> => {
    const why = await reason;
    if (why !== undefined) missing[part] = why;
    return why === undefined;
  };
  try {
    const hosts = new Map<string, NetworkHost>();
    let network: Network | undefined;
    if (await may('network', Network.unavailable())) {
      network = cleanup.use(await Network.open());
      for (const name of options.hosts ?? []) hosts.set(name, await network.host(name.replace(' ', '-')));
    }
    const disks = new Map<string, OwnDisk>();
    if (await may('disks', OwnDisk.unavailable())) {
      for (const name of options.disks ?? []) {
        const path = join(dataDir, name.replace(' ', '-'));
        disks.set(name, cleanup.use(await OwnDisk.create({ path, sizeBytes: DISK_BYTES })));
      }
    }
    await may('slow-disks', OwnDisk.slowingUnavailable());
    const clocks = new Map<string, ShiftedClock>();
    if (await may('clocks', ShiftedClock.unavailable())) {
      await mkdir(scratchDir, { recursive: true });
      for (const name of options.clocks ?? [])
        clocks.set(name, await ShiftedClock.create(join(scratchDir, `clock-${name.replace(' ', '-')}`)));
    }
    let events: EventProxy | undefined;
    const wiring = cleanup.use(
      wiringOf({
        random: random.fork('links'),
        ...(network === undefined ? {} : { network }),
        hostsOf: async (client) => (client === 'edges' ? [...hosts.values()] : [hosts.get(client)].filter((host) => host !== undefined)),
      }),
    );
    return {
      wiring: {
        async link(client, service, target) {
          if (service !== 'broker') return wiring.link(client, service, target);
          events ??= cleanup.use(await EventProxy.open({ to: target, rng: random.fork('events').fraction }));
          return wiring.link(client, service, { host: '127.0.0.1', port: events.port });
        },
        [Symbol.asyncDispose]: () => wiring[Symbol.asyncDispose](),
      },
      get events() {
        return events;
      },
      host: (name) => hosts.get(name),
      disk: (name) => disks.get(name),
      clock: (name) => clocks.get(name),
      envOf: (name) => clocks.get(name)?.env ?? {},
      placeOf: (name) => {
        const host = hosts.get(name);
        return host === undefined ? undefined : { host: host.address, prefix: host.prefix };
      },
      missing,
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}
