/**
 * A network of this process's own on this machine: each host is a network namespace, all are on one switch, which is one too, and this process is on it with an
 * address of its own. What is dropped here are packets, so the system's own TCP has to cope.
 *
 * Rules stand in the hosts' namespaces only, so nothing of the machine's own network changes but one interface and one route, and both go with the switch.
 */
import { networkInterfaces } from 'node:os';
import { commandsMissing, isLeftBehind, isRunning, OWN_PREFIX, run } from '../commands.ts';

const HOSTS_MAX = 200;
/** Interfaces of this machine itself: at most 15 characters, so the pid and no more. */
const RUNNER_END = /^sl(\d+)r\d+$/;
/** What tbf lets through at once, and for how long it queues. */
const BURST_BYTES = 16 * 1024;
const QUEUE_MS = 400;

let networks = 0;
let netemWorks: Promise<boolean> | undefined;

export class Network implements AsyncDisposable {
  /** Of this process, for who is in the network. */
  readonly runner: string;
  readonly #prefix: string;
  readonly #subnet: string;
  readonly #runnerEnd = `sl${process.pid}r${networks}`;
  readonly #hosts = new Map<string, NetworkHost>();

  private constructor(prefix: string, subnet: string) {
    this.#prefix = prefix;
    this.#subnet = subnet;
    this.runner = `${subnet}.1`;
  }

  /** Why there can be none here; undefined: there can. */
  static async unavailable(): Promise<string | undefined> {
    const missing = await commandsMissing('ip', 'iptables', 'nsenter', 'tc');
    if (missing !== undefined) return missing;
    const name = `${OWN_PREFIX}probe`;
    try {
      await run('ip', 'netns', 'add', name);
      await run(
        'ip',
        'netns',
        'exec',
        name,
        'iptables',
        '-w',
        '-A',
        'INPUT',
        '-m',
        'statistic',
        '--mode',
        'random',
        '--probability',
        '0.5',
      );
      return undefined;
    } catch (error) {
      return (error as Error).message;
    } finally {
      await run('ip', 'netns', 'del', name).catch(() => {});
    }
  }

  /** Removes the namespaces of processes that ended without doing so, and with them their interfaces and routes. */
  static async sweep(): Promise<void> {
    const listed = await run('ip', 'netns', 'list');
    for (const line of listed.split('\n')) {
      const name = line.split(' ')[0] as string;
      if (isLeftBehind(name)) await run('ip', 'netns', 'del', name);
    }
    for (const device of Object.keys(networkInterfaces())) {
      const pid = RUNNER_END.exec(device)?.[1];
      if (pid !== undefined && !isRunning(Number(pid))) await removeDevice(device);
    }
  }

  static async open(): Promise<Network> {
    await Network.sweep();
    networks += 1;
    const network = new Network(`${OWN_PREFIX}${networks}`, freeSubnet());
    try {
      await network.#makeSwitch();
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  get #switch(): string {
    return `${this.#prefix}-switch`;
  }

  async #makeSwitch(): Promise<void> {
    await run('ip', 'netns', 'add', this.#switch);
    await run('ip', '-n', this.#switch, 'link', 'add', 'br0', 'type', 'bridge');
    await run('ip', '-n', this.#switch, 'link', 'set', 'br0', 'up');
    await run('ip', 'link', 'add', this.#runnerEnd, 'type', 'veth', 'peer', 'name', 'runner', 'netns', this.#switch);
    await this.#plug('runner');
    await run('ip', 'addr', 'add', `${this.runner}/24`, 'dev', this.#runnerEnd);
    await run('ip', 'link', 'set', this.#runnerEnd, 'up');
  }

  async #plug(end: string): Promise<void> {
    await run('ip', '-n', this.#switch, 'link', 'set', end, 'master', 'br0', 'up');
  }

  /** Adds a host, or gives the one of this name. */
  async host(name: string): Promise<NetworkHost> {
    const known = this.#hosts.get(name);
    if (known !== undefined) return known;
    const number = this.#hosts.size + 2;
    if (number > HOSTS_MAX) throw new Error(`a network has room for ${HOSTS_MAX - 1} hosts`);
    const port = `h${number}`;
    const host = new NetworkHost({
      ...{ name, runner: this.runner, address: `${this.#subnet}.${number}`, namespace: `${this.#prefix}-${port}` },
      port: { namespace: this.#switch, device: port },
    });
    this.#hosts.set(name, host);
    const { namespace } = host;
    await run('ip', 'netns', 'add', namespace);
    await run('ip', '-n', namespace, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', port, 'netns', this.#switch);
    await this.#plug(port);
    await run('ip', '-n', namespace, 'addr', 'add', `${host.address}/24`, 'dev', 'eth0');
    for (const device of ['lo', 'eth0']) await run('ip', '-n', namespace, 'link', 'set', device, 'up');
    return host;
  }

  /** Nothing passes between two hosts. The returned function ends that. */
  async partition(one: NetworkHost, other: NetworkHost): Promise<() => Promise<void>> {
    const heal = [await one.drop(['INPUT', '-s', other.address]), await other.drop(['INPUT', '-s', one.address])];
    return async () => {
      for (const each of heal) await each();
    };
  }

  /** Whatever runs in it has to be stopped before. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { namespace } of this.#hosts.values()) await run('ip', 'netns', 'del', namespace).catch(() => {});
    await run('ip', 'netns', 'del', this.#switch).catch(() => {});
    await removeDevice(this.#runnerEnd);
  }
}

interface HostParts {
  readonly name: string;
  readonly address: string;
  /** Address of this process. */
  readonly runner: string;
  readonly namespace: string;
  /** Its side of the switch. */
  readonly port: { readonly namespace: string; readonly device: string };
}

export class NetworkHost {
  readonly #parts: HostParts;

  constructor(parts: HostParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }
  get address(): string {
    return this.#parts.address;
  }
  get namespace(): string {
    return this.#parts.namespace;
  }
  /**
   * What to write before a command so that it runs on this host. It becomes that command: signals reach it. Not `ip netns exec`, which gives it mounts of its own: where `/`
   * is not shared, no disk that is mounted by then would ever be unmounted for it, and the kernel would keep it as it is.
   */
  get prefix(): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.namespace}`];
  }

  /** Drops packets that a rule of iptables matches: its chain and what follows that. The returned function ends that. */
  async drop([chain, ...match]: readonly [chain: 'INPUT' | 'OUTPUT', ...match: string[]]): Promise<() => Promise<void>> {
    const rule = [chain, ...match, '-j', 'DROP'];
    const change = (how: '-A' | '-D'): Promise<string> => run('ip', 'netns', 'exec', this.namespace, 'iptables', '-w', how, ...rule);
    await change('-A');
    return async () => {
      await change('-D');
    };
  }

  /** Loses a share (0 … 1) of the packets to and from a TCP port of this process: 1 is a partition. The returned function ends that. */
  async loseToRunner(port: number, share: number): Promise<() => Promise<void>> {
    const { runner } = this.#parts;
    const chance = share >= 1 ? [] : ['-m', 'statistic', '--mode', 'random', '--probability', share.toFixed(6)];
    const heal = [
      await this.drop(['INPUT', '-p', 'tcp', '-s', runner, '--sport', String(port), ...chance]),
      await this.drop(['OUTPUT', '-p', 'tcp', '-d', runner, '--dport', String(port), ...chance]),
    ];
    return async () => {
      for (const each of heal) await each();
    };
  }

  /** Bytes each second, in each direction, of all that this host sends and gets. The returned function ends that. */
  limit(bytesPerSecond: number): Promise<() => Promise<void>> {
    return this.#shape('tbf', 'rate', `${Math.round(bytesPerSecond * 8)}bit`, 'burst', String(BURST_BYTES), 'latency', `${QUEUE_MS}ms`);
  }

  /** Whether {@link delay} can be had: netem is a module that not every kernel has. */
  canDelay(): Promise<boolean> {
    netemWorks ??= this.#shape('netem', 'delay', '1ms').then(
      async (heal) => {
        await heal();
        return true;
      },
      () => false,
    );
    return netemWorks;
  }

  /** Everything to and from this host takes so much longer, in each direction. @throws where there is no netem. The returned function ends that. */
  delay(ms: number): Promise<() => Promise<void>> {
    return this.#shape('netem', 'delay', `${ms}ms`);
  }

  /** One at a time. */
  async #shape(...discipline: readonly string[]): Promise<() => Promise<void>> {
    const ends = [{ namespace: this.namespace, device: 'eth0' }, this.#parts.port];
    for (const { namespace, device } of ends) await run('tc', '-n', namespace, 'qdisc', 'replace', 'dev', device, 'root', ...discipline);
    return async () => {
      for (const { namespace, device } of ends) await run('tc', '-n', namespace, 'qdisc', 'del', 'dev', device, 'root');
    };
  }
}

/** The first three numbers of a network of 256 addresses that no interface of this machine is in. Which is tried first depends on the process, as others look too. */
function freeSubnet(): string {
  const taken = new Set(
    Object.values(networkInterfaces()).flatMap((addresses) => addresses?.map(({ address }) => subnetOf(address)) ?? []),
  );
  for (let attempt = 0; attempt < 4_096; attempt++) {
    const number = (process.pid * 16 + networks + attempt) % (64 * 256);
    const subnet = `10.${128 + Math.floor(number / 256)}.${number % 256}`;
    if (!taken.has(subnet)) return subnet;
  }
  throw new Error('there is no free network between 10.128.0.0 and 10.191.255.255');
}

/** The kernel removes it with the other end's namespace too, but in its own time. */
async function removeDevice(device: string): Promise<void> {
  await run('ip', 'link', 'del', device).catch(() => {});
}

function subnetOf(address: string): string {
  return address.split('.').slice(0, 3).join('.');
}
