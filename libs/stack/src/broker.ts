import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ManagedProcess, ProcessError } from './managed-process.ts';
import { findNatsServer } from './nats-server.ts';
import { freePort } from './ports.ts';

const START_TIMEOUT_MS = 10_000;
/** What it logs when it was told to reload. */
const RELOAD_OUTCOME = /Reloaded server configuration|Failed to reload server configuration/;

export interface BrokerOptions {
  /** Holds the JetStream store and the log. */
  readonly dataDir: string;
  /** 0 or absent: any free port. */
  readonly port?: number;
  /** A directory with a `nats.conf` that names users, TLS and a store, and whose paths are seen from there. Absent: it knows neither users nor TLS. */
  readonly configurationDir?: string | undefined;
  readonly say?: (message: string) => void;
}

/** A local nats-server with JetStream, on loopback. It keeps its port over restarts. */
export class Broker {
  readonly port: number;
  readonly storeDir: string;
  readonly #command: string;
  readonly #logFile: string;
  readonly #configurationDir: string | undefined;
  #process: ManagedProcess | undefined;
  #up = false;
  #onUnexpectedEnd: (how: string) => void = () => {};

  private constructor(command: string, port: number, dataDir: string, configurationDir: string | undefined) {
    this.#configurationDir = configurationDir;
    this.#command = command;
    this.port = port;
    this.storeDir = join(dataDir, 'jetstream');
    this.#logFile = join(dataDir, 'nats-server.log');
  }

  static async start({ dataDir, port = 0, configurationDir, say }: BrokerOptions): Promise<Broker> {
    const command = await findNatsServer(say);
    await mkdir(dataDir, { recursive: true });
    const broker = new Broker(command, port === 0 ? await freePort() : port, dataDir, configurationDir);
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
    return this.#configurationDir === undefined ? ['-js', '-sd', this.storeDir] : ['-c', 'nats.conf'];
  }

  /** Reads its configuration again: users that came or went. @throws {ProcessError} when it refuses it */
  async reload(): Promise<void> {
    const child = this.#process as ManagedProcess;
    const reloaded = child.waitForLine((line) => RELOAD_OUTCOME.exec(line)?.[0], START_TIMEOUT_MS);
    child.signal('SIGHUP');
    if ((await reloaded).startsWith('Failed')) throw new ProcessError(`nats-server refuses its configuration\n${child.tail}`);
  }

  async stop(): Promise<void> {
    this.#up = false;
    await this.#process?.stop();
  }
  async kill(): Promise<void> {
    this.#up = false;
    await this.#process?.kill();
  }
}
