import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { edgeId, region } from '@sluice/contracts';
import { CredentialsDirectory } from '@sluice/credentials';
import { lockDataDir } from '@sluice/sqlite';
import type { Broker } from './broker.ts';
import { startBrokers } from './cluster.ts';
import { Member, type Place, type StartOptions } from './member.ts';
import { requireFreePorts } from './ports.ts';

/** The apps live beside the libraries; a library may start one by its path, never import it. */
const APPS_DIR = resolve(import.meta.dirname, '../../../apps');

type Variables = Readonly<Record<string, string>>;

/** How often it is told that the files of a directory are still being read. */
const READING_TOLD_EVERY_MS = 5_000;

/**
 * Measured for each app: compiled modules kept between starts spare 20 MB and a third of the start; one allocator arena, with
 * large buffers given back at once, spares 30 MB. At the origin,
 * through which all bytes pass, a small young generation spares another 50 MB.
 */
export const RUNTIME_VARIABLES: Variables = {
  NODE_COMPILE_CACHE: resolve(import.meta.dirname, '../../../node_modules/.cache/node-compile'),
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '131072',
};
/** Those with which an origin starts. */
export const ORIGIN_VARIABLES: Variables = {
  ...RUNTIME_VARIABLES,
  NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --max-semi-space-size=2`.trim(),
};

export interface EdgeSpec {
  readonly id: string;
  readonly region: string;
  /** 0 or absent: any free port. */
  readonly port?: number;
  /** Variables of this edge alone, for example `EDGE_CAPACITY_BYTES`. */
  readonly env?: Variables;
}

/** Files that are there already, as the content. */
export interface DirectorySpec {
  /** Absolute. */
  readonly path: string;
  /** The bucket in which they are. */
  readonly bucket: string;
}

export interface StackOptions {
  /** Everything the stack stores, and its logs (`logs/<name>.log`). */
  readonly dataDir: string;
  readonly edges: readonly EdgeSpec[];
  /** 0 or absent: any free port. */
  readonly ports?: { readonly broker?: number; readonly origin?: number; readonly controller?: number };
  /** Absent: the content is what is uploaded. */
  readonly directory?: DirectorySpec;
  /** The URL of a broker that runs already. Absent: the stack starts one of its own. */
  readonly broker?: string;
  /** The broker of its own knows each part by its key, permits it no more than it needs, and speaks TLS alone. What it takes is in `credentials` of the data directory. */
  readonly secured?: boolean;
  /** Servers of the stack's own broker, default 1. With more they are a cluster, in which each stream has as many replicas. The second and further take any free port. */
  readonly brokers?: number;
  /** Default 1; the second and further take any free port. */
  readonly controllers?: number;
  /** Default 1; the second and further take any free port. More than one only on a source that they share, which `env.origin` names. */
  readonly origins?: number;
  /** From the port of an app until it is ready; default 30 s. An origin has to list its source first. */
  readonly readyTimeoutMs?: number;
  /** Of every app; not above `info`, where the line is logged that tells the port. Default `info`. */
  readonly logLevel?: 'trace' | 'debug' | 'info';
  /** Hears what happens, a sentence at a time. */
  readonly say?: (message: string) => void;
  /** Further variables by role, over those the stack sets itself. */
  readonly env?: { readonly origin?: Variables; readonly controller?: Variables; readonly edge?: Variables };
  /** Further variables of one app by its name (`origin`, `controller-2`, `edge us-1`), over all others. Asked once for each, before its first start. */
  readonly envOf?: (name: string) => Variables | Promise<Variables>;
  /** Where an app of that name runs. Undefined: on this host. Asked once for each, before its first start. */
  readonly placeOf?: (name: string) => Place | undefined | Promise<Place | undefined>;
  /** Gives up the start, and stops what was started, when aborted. */
  readonly signal?: AbortSignal;
}

/**
 * A whole CDN on this machine: broker, origins, controllers and edges as processes, started, watched and stopped together.
 * `await using stack = await Stack.start(…)` stops it with its scope.
 */
export class Stack {
  readonly dataDir: string;
  readonly #options: StackOptions;
  readonly #say: (message: string) => void;
  readonly #lock: { release(): void };
  readonly #edges = new Map<string, Member>();
  readonly #credentials: CredentialsDirectory | undefined;
  #brokers: Broker[] = [];
  #origins: Member[] = [];
  #controllers: Member[] = [];
  #stopping: Promise<void> | undefined;
  #onUnexpectedEnd: (name: string, how: string) => void = () => {};

  private constructor(options: StackOptions) {
    this.dataDir = resolve(options.dataDir);
    this.#options = options;
    this.#say = options.say ?? (() => {});
    this.#credentials = options.secured ? new CredentialsDirectory(join(this.dataDir, 'credentials')) : undefined;
    this.#lock = lockDataDir(this.dataDir, 'stack');
  }

  /**
   * Resolves when every part is ready.
   * @throws {PortsTakenError | DataDirInUseError | NatsServerMissingError} before anything was started
   * @throws {ProcessError} when a part dies or does not become ready: everything was stopped, the message has the part's last lines
   */
  static async start(options: StackOptions): Promise<Stack> {
    options.signal?.throwIfAborted();
    checkEdges(options.edges);
    if (options.secured && options.broker !== undefined)
      throw new Error('a broker that runs already has users of its own: start the stack without `secured`');
    const { ports = {} } = options;
    await requireFreePorts([
      ...(options.broker === undefined ? [{ name: 'the broker', port: ports.broker ?? 0 }] : []),
      { name: 'the origin', port: ports.origin ?? 0 },
      { name: 'the controller', port: ports.controller ?? 0 },
      ...options.edges.map(({ id, port = 0 }) => ({ name: `edge ${id}`, port })),
    ]);
    const stack = new Stack(options);
    try {
      await stack.#startAll();
      return stack;
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  async #startAll(): Promise<void> {
    const { signal, ports = {}, origins = 1, controllers = 1, edges } = this.#options;
    if (this.#options.broker === undefined) {
      await this.#fillCredentials();
      await this.#startBrokers(ports.broker ?? 0);
    }
    signal?.throwIfAborted();
    this.#origins = await this.#createMembers('origin', origins, ports.origin, this.#sourceVariables());
    this.#controllers = await this.#createMembers('controller', controllers, ports.controller);
    for (const spec of edges) this.#edges.set(spec.id, await this.#createEdge(spec));
    signal?.throwIfAborted();
    const sources = origins === 1 ? 'the origin' : count(origins, 'origin');
    this.#say(`starting ${sources}, ${count(controllers, 'controller')} and ${count(edges.length, 'edge')}`);
    const starting = this.#startMembers();
    await (signal === undefined ? starting : Promise.race([starting, whenAborted(signal)]));
  }

  async #startBrokers(firstPort: number): Promise<void> {
    const { brokers: servers = 1 } = this.#options;
    this.#say(servers === 1 ? 'starting the broker' : `starting the broker, a cluster of ${count(servers, 'server')}`);
    const configurationDir = this.#credentials?.brokerDir;
    this.#brokers = await startBrokers({ dataDir: this.dataDir, servers, port: firstPort, configurationDir, say: this.#say });
    for (const [index, broker] of this.#brokers.entries())
      broker.onUnexpectedEnd((how) => this.#reportEnd(index === 0 ? 'the broker' : `server ${index + 1} of the broker`, how));
  }

  async #startMembers(): Promise<void> {
    const { directory, readyTimeoutMs } = this.#options;
    // An origin has to read all of a directory once before it can say what there is, and no edge is ready before: that takes as long as it takes.
    if (directory !== undefined) await this.#startReading(directory);
    await Promise.all(
      this.members.map(async (member) => {
        const isStarted = member === this.origin && directory !== undefined;
        if (!isStarted) await member.start(readyTimeoutMs === undefined ? {} : { readyTimeoutMs });
        this.#say(`${member.name} is ready at ${member.url}`);
      }),
    );
  }

  async #startReading({ path }: DirectorySpec): Promise<void> {
    await this.origin.start({ ready: false });
    const telling = setInterval(() => this.#say(`the origin is reading the files of ${path}`), READING_TOLD_EVERY_MS);
    try {
      await this.origin.waitUntilReady(Number.POSITIVE_INFINITY);
    } finally {
      clearInterval(telling);
    }
  }

  async #fillCredentials(added: readonly EdgeSpec[] = []): Promise<void> {
    const edges = [...this.#options.edges, ...added].map(({ id, region: name }) => ({ id, region: region.parse(name) }));
    await this.#credentials?.fill({
      edges,
      serverNames: ['127.0.0.1', 'localhost'],
      storeDir: resolve(this.dataDir, 'broker/jetstream'),
      nowMs: Date.now(),
    });
  }

  #sourceVariables(): Variables {
    const { directory } = this.#options;
    if (directory === undefined) return {};
    return { ORIGIN_SOURCE: 'directory', ORIGIN_SOURCE_DIRECTORY: directory.path, ORIGIN_SOURCE_BUCKET: directory.bucket };
  }

  async #createMembers(app: 'origin' | 'controller', number: number, firstPort = 0, own: Variables = {}): Promise<Member[]> {
    const members: Member[] = [];
    for (let index = 1; index <= number; index++) {
      const name = index === 1 ? app : `${app}-${index}`;
      members.push(await this.#createMember(app, name, index === 1 ? firstPort : 0, own));
    }
    return members;
  }

  async #createMember(app: 'origin' | 'controller' | 'edge', name: string, port: number, own: Variables): Promise<Member> {
    const fileName = name.replace(' ', '-');
    const dataDir = join(this.dataDir, fileName);
    const prefix = app.toUpperCase();
    const place = await this.#options.placeOf?.(name);
    await mkdir(join(this.dataDir, 'logs'), { recursive: true });
    const member = new Member({
      name,
      entry: join(APPS_DIR, app, 'src/main.ts'),
      dataDir,
      logFile: join(this.dataDir, 'logs', `${fileName}.log`),
      portVariable: `${prefix}_PORT`,
      port,
      ...(place === undefined ? {} : { place }),
      env: {
        ...(app === 'origin' ? ORIGIN_VARIABLES : RUNTIME_VARIABLES),
        NATS_URL: this.natsUrl,
        ...(this.#brokers.length > 1 && { NATS_STREAM_REPLICAS: String(this.#brokers.length) }),
        LOG_LEVEL: this.#options.logLevel ?? 'info',
        [`${prefix}_HOST`]: place?.host ?? '127.0.0.1',
        ...(app === 'controller' ? {} : { [`${prefix}_DATA_DIR`]: dataDir }),
        ...this.#accessVariables(app, own),
        ...this.#options.env?.[app],
        ...own,
        ...(await this.#options.envOf?.(name)),
      },
    });
    member.onUnexpectedEnd((how) => this.#reportEnd(name, how));
    return member;
  }

  #createEdge({ id, region: regionName, port = 0, env }: EdgeSpec): Promise<Member> {
    return this.#createMember('edge', `edge ${id}`, port, { EDGE_ID: id, EDGE_REGION: regionName, ...env });
  }

  #accessVariables(app: 'origin' | 'controller' | 'edge', { EDGE_ID: id = '', EDGE_REGION: regionName = '' }: Variables): Variables {
    if (this.#credentials === undefined) return {};
    const dir = app === 'edge' ? this.#credentials.dirOfEdge({ id, region: region.parse(regionName) }) : this.#credentials.dirOf(app);
    const { nkeyFile, caFile } = CredentialsDirectory.accessIn(dir);
    return { NATS_NKEY_FILE: nkeyFile, NATS_CA_FILE: caFile };
  }

  #reportEnd(name: string, how: string): void {
    if (this.#stopping === undefined) this.#onUnexpectedEnd(name, how);
  }

  /** The addresses of the broker's servers, separated by commas: the stack's own or the given one. */
  get natsUrl(): string {
    return this.#options.broker ?? this.#brokers.map(({ url }) => url).join(',');
  }
  /** The credentials of everyone who uses the broker; undefined when it takes anyone. */
  get credentials(): CredentialsDirectory | undefined {
    return this.#credentials;
  }
  /** Whose files are the content; undefined: what is uploaded is. */
  get directory(): DirectorySpec | undefined {
    return this.#options.directory;
  }
  get ownsBroker(): boolean {
    return this.#brokers.length > 0;
  }
  /** The first server of the stack's own broker. @throws when it works with a given one */
  get broker(): Broker {
    const [first] = this.#brokers;
    if (first === undefined) throw new Error('this stack has no broker of its own');
    return first;
  }
  /** The servers of the stack's own broker; none when it works with a given one. */
  get brokers(): readonly Broker[] {
    return this.#brokers;
  }
  /** The first origin. */
  get origin(): Member {
    return this.#origins[0] as Member;
  }
  get origins(): readonly Member[] {
    return this.#origins;
  }
  /** The first controller. */
  get controller(): Member {
    return this.#controllers[0] as Member;
  }
  get controllers(): readonly Member[] {
    return this.#controllers;
  }
  /** By id, in the order in which they were added. */
  get edges(): ReadonlyMap<string, Member> {
    return this.#edges;
  }
  /** @throws when there is no such edge */
  edge(id: string): Member {
    const edge = this.#edges.get(id);
    if (edge === undefined) throw new Error(`this stack has no edge ${id}`);
    return edge;
  }
  /** Origins, controllers, edges. */
  get members(): readonly Member[] {
    return [...this.#origins, ...this.#controllers, ...this.#edges.values()];
  }

  /** `listener` hears of a part that ends without having been told to. One listener; the last one counts. */
  onUnexpectedEnd(listener: (name: string, how: string) => void): void {
    this.#onUnexpectedEnd = listener;
  }

  /** Starts one more edge. It stays part of the stack, also when it could not be started. */
  async addEdge(spec: EdgeSpec, options?: StartOptions): Promise<Member> {
    checkEdges([...[...this.#edges.keys()].map((id) => ({ id, region: 'X' })), spec]);
    const edge = await this.#createEdge(spec);
    if (this.#stopping !== undefined) throw new Error('the stack is stopping');
    this.#edges.set(spec.id, edge);
    if (this.#credentials !== undefined) {
      await this.#fillCredentials([spec]);
      await this.broker.reload();
    }
    await edge.start(options);
    return edge;
  }

  /** Stops everything, last started first. Never fails and leaves no process; later calls join the first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    await Promise.all([...this.#edges.values()].map((edge) => edge.stop()));
    await Promise.all(this.#controllers.map((controller) => controller.stop()));
    await Promise.all(this.#origins.map((origin) => origin.stop()));
    await Promise.all(this.#brokers.map((broker) => broker.stop()));
    this.#lock.release();
  }

  /** SIGKILL to everything at once; resolves when all are gone. */
  async kill(): Promise<void> {
    const stopped = this.stop();
    await Promise.all([...this.members.map((member) => member.kill()), ...this.#brokers.map((broker) => broker.kill())]);
    await stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** @throws with a sentence for people when an id or a region cannot be one, or an id comes twice */
function checkEdges(edges: readonly EdgeSpec[]): void {
  const seen = new Set<string>();
  for (const { id, region: regionName } of edges) {
    for (const [schema, value, what] of [[edgeId, id, 'edge id'] as const, [region, regionName, 'region'] as const]) {
      const result = schema.safeParse(value);
      if (!result.success) throw new Error(`the ${what} "${value}" ${result.error.issues[0]?.message}`);
    }
    if (seen.has(id)) throw new Error(`two edges have the id "${id}"`);
    seen.add(id);
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
