import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ClusterPlace, clusterConfiguration } from './cluster-configuration.ts';
import { ManagedProcess, ProcessError } from './managed-process.ts';
import { findNatsServer } from './nats-server.ts';
import { freePort } from './ports.ts';

const START_TIMEOUT_MS = 10_000;
/** What it logs when it was told to reload. */
const RELOAD_OUTCOME = /Reloaded server configuration|Failed to reload server configuration/;
/** An election of its cluster, and what it has missed. */
const HEALTHY_TIMEOUT_MS = 60_000;
/** Between two questions; health announces itself nowhere. */
const HEALTH_POLL_MS = 50;
const HEALTH_REQUEST_TIMEOUT_MS = 2_000;

export interface BrokerOptions {
  /** Holds the JetStream store and the log. */
  readonly dataDir: string;
  /** 0 or absent: any free port. */
  readonly port?: number;
  /** A directory with a `nats.conf` that names users, TLS and a store, and whose paths are seen from there. Absent: it knows neither users nor TLS. */
  readonly configurationDir?: string | undefined;
  /** Absent: it is the only one. */
  readonly cluster?: ClusterPlace;
  readonly say?: (message: string) => void;
}

/** A local nats-server with JetStream, on loopback. It keeps its port over restarts. */
export class Broker {
  readonly port: number;
  readonly storeDir: string;
  readonly #command: string;
  readonly #logFile: string;
  readonly #configurationDir: string | undefined;
  readonly #clusterFile: string | undefined;
  readonly #monitorPort: number | undefined;
  #process: ManagedProcess | undefined;
  #up = false;
  #onUnexpectedEnd: (how: string) => void = () => {};

  private constructor(command: string, port: number, { dataDir, configurationDir, cluster }: BrokerOptions) {
    this.#configurationDir = configurationDir;
    this.#clusterFile = cluster && join(dataDir, 'cluster.conf');
    this.#monitorPort = cluster?.monitorPort;
    this.#command = command;
    this.port = port;
    this.storeDir = join(dataDir, 'jetstream');
    this.#logFile = join(dataDir, 'nats-server.log');
  }

  static async start(options: BrokerOptions): Promise<Broker> {
    const { dataDir, port = 0, cluster, say } = options;
    const command = await findNatsServer(say);
    await mkdir(dataDir, { recursive: true });
    const broker = new Broker(command, port === 0 ? await freePort() : port, options);
    if (cluster !== undefined) await writeFile(broker.#clusterFile as string, clusterConfiguration(cluster));
    await broker.start();
    return broker;
  }

  get url(): string {
    return `${this.#configurationDir === undefined ? 'nats' : 'tls'}://127.0.0.1:${this.port}`;
  }
  get pid(): number {
    return (this.#process as ManagedProcess).pid;
  }
  get running(): boolean {
    return this.#process?.running ?? false;
  }

  /** `listener` hears how it ended when nobody here asked it to. One listener; the last one counts. */
  onUnexpectedEnd(listener: (how: string) => void): void {
    this.#onUnexpectedEnd = listener;
  }

  /** Starts it (again) on the same port and store. */
  async start(): Promise<void> {
    const child = new ManagedProcess({
      name: 'nats-server',
      command: this.#command,
      args: ['-a', '127.0.0.1', '-p', String(this.port), ...this.#configuration()],
      logFile: this.#logFile,
      cwd: this.#configurationDir,
    });
    this.#process = child;
    void child.ended.then((how) => {
      if (!this.#up || this.#process !== child) return;
      this.#up = false;
      this.#onUnexpectedEnd(how);
    });
    try {
      await child.waitForLine((line) => (line.includes('Server is ready') ? true : undefined), START_TIMEOUT_MS);
      this.#up = child.running;
    } catch (error) {
      await child.kill();
      throw error;
    }
  }

  /** nats-server takes a store from its configuration or from the command line, not from both. */
  #configuration(): string[] {
    if (this.#configurationDir !== undefined) return ['-c', 'nats.conf'];
    return ['-js', '-sd', this.storeDir, ...(this.#clusterFile === undefined ? [] : ['-c', this.#clusterFile])];
  }

  /** Reads its configuration again: users that came or went. @throws {ProcessError} when it refuses it */
  async reload(): Promise<void> {
    const child = this.#process as ManagedProcess;
    const reloaded = child.waitForLine((line) => RELOAD_OUTCOME.exec(line)?.[0], START_TIMEOUT_MS);
    child.signal('SIGHUP');
    if ((await reloaded).startsWith('Failed')) throw new ProcessError(`nats-server refuses its configuration\n${child.tail}`);
  }

  /**
   * Resolves when it works together with the others of its cluster and has what they have, so that another one may fail; at once when there are no others.
   * @throws {ProcessError} with what is missing after `timeoutMs`, or when it ends
   */
  async waitUntilHealthy(timeoutMs = HEALTHY_TIMEOUT_MS): Promise<void> {
    const child = this.#process as ManagedProcess;
    const deadline = performance.now() + timeoutMs;
    while (this.#monitorPort !== undefined) {
      const problem = await this.#askHealth(this.#monitorPort);
      if (problem === undefined) return;
      if (!child.running || performance.now() > deadline)
        throw new ProcessError(`nats-server was not healthy within ${timeoutMs} ms: ${problem}\n${child.tail}`);
      await new Promise((resolve) => setTimeout(resolve, HEALTH_POLL_MS));
    }
  }

  /** What keeps it from its job; undefined: nothing. */
  async #askHealth(port: number): Promise<string | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(HEALTH_REQUEST_TIMEOUT_MS) });
      return response.ok ? undefined : (await response.text()).trim();
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** SIGTERM. A paused one is woken to hear it. */
  async stop(): Promise<void> {
    this.#up = false;
    const ended = this.#process?.stop();
    this.#process?.signal('SIGCONT');
    await ended;
  }
  async kill(): Promise<void> {
    this.#up = false;
    await this.#process?.kill();
  }
  /** A clean end and a new start, until it is healthy again. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
    await this.waitUntilHealthy();
  }

  /** SIGSTOP: alive, connected, and silent. */
  pause(): void {
    this.#process?.signal('SIGSTOP');
  }
  /** Ends {@link pause}. */
  resume(): void {
    this.#process?.signal('SIGCONT');
  }

  /** Removes everything it has stored, as a lost disk. @throws {ProcessError} while it runs */
  async wipe(): Promise<void> {
    if (this.running) throw new ProcessError('stop or kill the broker before wiping its store');
    await rm(this.storeDir, { recursive: true, force: true, maxRetries: 5 });
  }
}
