import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ManagedProcess } from './managed-process.ts';
import { findNatsServer } from './nats-server.ts';

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

  /** Starts it (again) on the same port and store. */
  async start(): Promise<void> {
    this.#process = new ManagedProcess({
      name: 'nats-server',
      command: this.#command,
      args: ['-a', '127.0.0.1', '-p', String(this.port), '-js', '-sd', this.storeDir],
      logFile: this.#logFile,
    });
    await this.#process.waitForLine((line) => (line.includes('Server is ready') ? true : undefined), START_TIMEOUT_MS);
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }
  async kill(): Promise<void> {
    await this.#process?.kill();
  }
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
