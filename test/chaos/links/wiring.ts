/** The links of a world: TCP proxies of this process, and where the clients are on hosts of a network of their own, what that network does to packets. */
import type { Random } from '../random.ts';
import type { Link, Wiring } from './link.ts';
import type { Network, NetworkHost } from './network.ts';
import { TcpLink } from './tcp-link.ts';

export interface WiringOptions {
  readonly random: Random;
  /** Only for clients that run on its hosts. */
  readonly network?: Network;
  /** On which hosts a client of that name runs; those of none connect by loopback. `edges` stands for many. */
  readonly hostsOf?: (client: string) => Promise<readonly NetworkHost[]>;
}

export function wiringOf({ random, network, hostsOf }: WiringOptions): Wiring {
  const links: TcpLink[] = [];
  return {
    async link(client, service, to) {
      const name = `${client} → ${service}`;
      const rng = random.fork(name).fraction;
      const hosts = (await hostsOf?.(client)) ?? [];
      const link = await TcpLink.open({ name, to, rng, host: hosts.length === 0 ? '127.0.0.1' : (network?.runner as string) });
      links.push(link);
      return hosts.length === 0 ? link : new PacketLink(link, hosts);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(links.map((link) => link[Symbol.asyncDispose]()));
    },
  };
}

/** A link whose black hole and whose losses are of packets: connections are not even taken, and the system sends again what was lost. */
class PacketLink implements Link {
  readonly #link: TcpLink;
  readonly #hosts: readonly NetworkHost[];
  #heal: (() => Promise<void>)[] = [];

  constructor(link: TcpLink, hosts: readonly NetworkHost[]) {
    this.#link = link;
    this.#hosts = hosts;
  }

  get name(): string {
    return this.#link.name;
  }
  get host(): string {
    return this.#link.host;
  }
  get port(): number {
    return this.#link.port;
  }

  cut(): Promise<void> {
    return this.#link.cut();
  }
  blackhole(): Promise<void> {
    return this.lose(1);
  }
  halfOpen(): Promise<void> {
    return this.#link.halfOpen();
  }
  delay(ms: number): Promise<void> {
    return this.#link.delay(ms);
  }
  limit(bytesPerSecond: number): Promise<void> {
    return this.#link.limit(bytesPerSecond);
  }

  async lose(share: number): Promise<void> {
    for (const host of this.#hosts) this.#heal.push(await host.loseToRunner(this.port, share));
  }

  async heal(): Promise<void> {
    for (const heal of this.#heal.splice(0)) await heal();
    await this.#link.heal();
  }
}
