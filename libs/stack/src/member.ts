import { mkdirSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ManagedProcess, ProcessError } from './managed-process.ts';

/** From the start of the process until its port is known. */
const LISTEN_TIMEOUT_MS = 20_000;
/** From then until `/readyz` says 200. */
const READY_TIMEOUT_MS = 30_000;
/** Between two questions; readiness announces itself nowhere. */
const READY_POLL_MS = 20;
const READY_REQUEST_TIMEOUT_MS = 2_000;

/** Where a process runs, if not simply on this host: in a network namespace, for one. */
export interface Place {
  /** The address on which it listens there, as this process reaches it. */
  readonly host: string;
  /** What is written before its command. It has to become that command (exec), so that signals reach it. */
  readonly prefix: readonly string[];
}

export interface MemberOptions {
  /** Shown in messages: `origin`, `edge us-1`. */
  readonly name: string;
  /** The app's entry file. */
  readonly entry: string;
  /** What {@link Member.wipe} removes. */
  readonly dataDir: string;
  readonly logFile: string;
  /** The variable that carries the port. */
  readonly portVariable: string;
  /** 0: any free port at the first start, and that one ever after. */
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  /** Default: this host, by loopback. */
  readonly place?: Place;
}

export interface StartOptions {
  /** Whether to wait for `/readyz`, not only for the port. Without a broker no app ever is ready. Default true. */
  readonly ready?: boolean;
  /** From the port until `/readyz` says 200; default 30 s. */
  readonly readyTimeoutMs?: number;
}

/** One app of the stack as a process of its own. It keeps its port, data and log over restarts. */
export class Member {
  readonly name: string;
  readonly dataDir: string;
  readonly logFile: string;
  readonly #options: MemberOptions;
  #port: number;
  #process: ManagedProcess | undefined;
  #up = false;
  #onUnexpectedEnd: (how: string) => void = () => {};

  constructor(options: MemberOptions) {
    this.name = options.name;
    this.dataDir = options.dataDir;
    this.logFile = options.logFile;
    this.#options = options;
    this.#port = options.port;
  }

  /** 0 before the first start when any port would do. */
  get port(): number {
    return this.#port;
  }
  /** Where its HTTP side listens, without a slash at the end. */
  get url(): string {
    return `http://${this.#options.place?.host ?? '127.0.0.1'}:${this.#port}`;
  }
  /** The process of the last start. */
  get process(): ManagedProcess {
    if (this.#process === undefined) throw new ProcessError(`${this.name} was never started`);
    return this.#process;
  }
  get pid(): number {
    return this.process.pid;
  }
  get running(): boolean {
    return this.#process?.running ?? false;
  }

  /** `listener` hears how the process ended when nobody here asked it to, once it was up. One listener; the last one counts. */
  onUnexpectedEnd(listener: (how: string) => void): void {
    this.#onUnexpectedEnd = listener;
  }

  /**
   * Starts it (again), on the same port and data.
   * @throws {ProcessError} when it ends or is not ready in time, with its last lines; it is no longer running then
   */
  async start({ ready = true, readyTimeoutMs = READY_TIMEOUT_MS }: StartOptions = {}): Promise<void> {
    if (this.running) throw new ProcessError(`${this.name} is already running`);
    const { entry, portVariable, env, logFile, place } = this.#options;
    mkdirSync(this.dataDir, { recursive: true });
    mkdirSync(dirname(logFile), { recursive: true });
    const [command, ...args] = [...(place?.prefix ?? []), process.execPath, entry] as const;
    const child = new ManagedProcess({
      ...{ name: this.name, command, args },
      env: { ...env, [portVariable]: String(this.#port) },
      logFile,
    });
    this.#process = child;
    void child.ended.then((how) => {
      if (!this.#up || this.#process !== child) return;
      this.#up = false;
      this.#onUnexpectedEnd(how);
    });
    try {
      this.#port = await child.waitForLine(listeningPort, LISTEN_TIMEOUT_MS);
      if (ready) await this.waitUntilReady(readyTimeoutMs);
      this.#up = child.running;
    } catch (error) {
      await child.kill();
      throw error;
    }
  }

  /** Resolves when `/readyz` says 200. @throws {ProcessError} with what is missing after `timeoutMs`, or when the process ends */
  async waitUntilReady(timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    const child = this.process;
    const deadline = performance.now() + timeoutMs;
    let problem = '';
    while (child.running) {
      const answer = await this.#askReadiness();
      if (answer.ready) return;
      problem = answer.problem;
      if (performance.now() > deadline) {
        throw new ProcessError(`${this.name} was not ready within ${timeoutMs} ms: ${problem}\n${child.tail}`);
      }
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
    throw new ProcessError(`${this.name} ${await child.ended} before it was ready\n${child.tail}`);
  }

  async #askReadiness(): Promise<{ ready: boolean; problem: string }> {
    try {
      const response = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(READY_REQUEST_TIMEOUT_MS) });
      return { ready: response.ok, problem: (await response.text()).trim() };
    } catch (error) {
      return { ready: false, problem: (error as Error).message };
    }
  }

  /** SIGTERM, and SIGKILL after the deadline. A paused process is woken to hear it. Returns how it ended. */
  async stop(deadlineMs?: number): Promise<string> {
    this.#up = false;
    if (this.#process === undefined) return 'was never started';
    const ended = this.#process.stop(deadlineMs);
    this.#process.signal('SIGCONT');
    return ended;
  }

  /** SIGKILL, as a power cut. */
  async kill(): Promise<void> {
    this.#up = false;
    await this.#process?.kill();
  }

  /** A clean end and a new start. */
  async restart(options?: StartOptions): Promise<void> {
    await this.stop();
    await this.start(options);
  }

  /** SIGSTOP: alive, connected, and silent. */
  pause(): void {
    this.process.signal('SIGSTOP');
  }
  /** Ends {@link pause}. */
  resume(): void {
    this.process.signal('SIGCONT');
  }

  /** Removes everything it has stored, as a lost disk; the directory stays, which may be a disk of its own. @throws {ProcessError} while it runs */
  async wipe(): Promise<void> {
    if (this.running) throw new ProcessError(`stop or kill ${this.name} before wiping its data`);
    const stored = await readdir(this.dataDir).catch(() => []);
    await Promise.all(stored.map((name) => rm(join(this.dataDir, name), { recursive: true, force: true, maxRetries: 5 })));
  }
}

/** The port in an app's log line `{"msg":"listening","port":…}`. */
function listeningPort(line: string): number | undefined {
  if (!line.includes('"listening"')) return undefined;
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null || !('msg' in entry) || !('port' in entry)) return undefined;
    return entry.msg === 'listening' && typeof entry.port === 'number' ? entry.port : undefined;
  } catch {
    return undefined;
  }
}
