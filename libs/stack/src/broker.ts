import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ManagedProcess } from './managed-process.ts';
import { findNatsServer } from './nats-server.ts';
import { freePort } from './ports.ts';

const START_TIMEOUT_MS = 10_000;

export interface BrokerOptions {
  /** Holds the JetStream store and the log. */
  readonly dataDir: string;
  /** 0 or absent: any free port. */
  readonly port?: number;
  readonly say?: (message: string) => void;
}

/** A local nats-server with JetStream, on loopback. It keeps its port over restarts. */
export class Broker {
  readonly port: number;
  readonly storeDir: string;
  readonly #command: string;
  readonly #logFile: string;
  #process: ManagedProcess | undefined;
  #up = false;
  #onUnexpectedEnd: (how: string) => void = () => {};

  private constructor(command: string, port: number, dataDir: string) {
    this.#command = command;
    this.port = port;
    this.storeDir = join(dataDir, 'jetstream');
    this.#logFile = join(dataDir, 'nats-server.log');
  }

  static async start({ dataDir, port = 0, say }: BrokerOptions): Promise<Broker> {
    const command = await findNatsServer(say);
    await mkdir(dataDir, { recursive: true });
    const broker = new Broker(command, port === 0 ? await freePort() : port, dataDir);
    await broker.start();
    return broker;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
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
      args: ['-a', '127.0.0.1', '-p', String(this.port), '-js', '-sd', this.storeDir],
      logFile: this.#logFile,
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

  async stop(): Promise<void> {
    this.#up = false;
    await this.#process?.stop();
  }
  async kill(): Promise<void> {
    this.#up = false;
    await this.#process?.kill();
  }
}
