import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { tie } from './lifeline.ts';

/** A process of the stack did not do what it was started for. The message carries its last lines of output. */
export class ProcessError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProcessError';
  }
}

export interface ProcessOptions {
  /** Shown in messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs; absent: where this process does. */
  readonly cwd?: string | undefined;
  /** Where its output is appended to. */
  readonly logFile?: string;
}

/** Lines of output kept for error messages. */
const TAIL_LINES = 20;

/** The processes that run now. A parent that ends without stopping them (an uncaught error, `process.exit`) takes them along at once. */
const running = new Set<ManagedProcess>();
process.on('exit', () => {
  for (const child of running) child.signal('SIGKILL');
});

/** One child process: its output by lines, its end, and ways to end it. Leads a process group of its own, so Ctrl-C reaches only its parent. */
export class ManagedProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #tail: string[] = [];
  readonly #listeners = new Set<(line: string) => void>();
  readonly #log: WriteStream | undefined;
  /** Resolves with a description of how it ended. */
  readonly ended: Promise<string>;
  readonly #untie: () => void;
  #running = true;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.#log = options.logFile === undefined ? undefined : createWriteStream(options.logFile, { flags: 'a' });
    this.#child = spawn(options.command, [...options.args], {
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(this);
    this.#untie = this.#child.pid === undefined ? () => {} : tie(this.#child.pid);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) eachLine(stream, (line) => this.#take(line));
    }
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => this.#finish(`could not be started: ${error.message}`, resolve));
      this.#child.once('close', (code, signal) =>
        this.#finish(signal === null ? `exited with ${code}` : `was ended by ${signal}`, resolve),
      );
    });
  }

  #take(line: string): void {
    this.#log?.write(`${line}\n`);
    this.#tail.push(line);
    if (this.#tail.length > TAIL_LINES) this.#tail.shift();
    for (const listener of this.#listeners) listener(line);
  }

  #finish(how: string, resolve: (how: string) => void): void {
    this.#running = false;
    running.delete(this);
    this.#untie();
    this.#log?.end();
    resolve(how);
  }

  get pid(): number {
    return this.#child.pid as number;
  }
  get running(): boolean {
    return this.#running;
  }
  /** The last lines of output. */
  get tail(): string {
    return this.#tail.join('\n');
  }

  /** Calls `listener` with each line of output; the returned function ends that. */
  onLine(listener: (line: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The first line for which `pick` returns something.
   * @throws {ProcessError} when the process ends or `timeoutMs` passes before
   */
  async waitForLine<Value>(pick: (line: string) => Value | undefined, timeoutMs: number): Promise<Value> {
    return new Promise((resolve, reject) => {
      const fail = (what: string): void => done(() => reject(new ProcessError(`${this.name} ${what}\n${this.tail}`)));
      const timer = setTimeout(() => fail(`did not become ready within ${timeoutMs} ms`), timeoutMs);
      const stopListening = this.onLine((line) => {
        const value = pick(line);
        if (value !== undefined) done(() => resolve(value));
      });
      const done = (settle: () => void): void => {
        clearTimeout(timer);
        stopListening();
        settle();
      };
      void this.ended.then(fail);
    });
  }

  /** Sends a signal, for example SIGSTOP. */
  signal(signal: NodeJS.Signals): void {
    if (this.#running) this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL when it has not ended after `deadlineMs`. */
  async stop(deadlineMs = 12_000): Promise<string> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), deadlineMs);
    const how = await this.ended;
    clearTimeout(timer);
    return how;
  }

  /** Ends it without a word, as a power cut or the kernel would. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended;
  }
}

/** Lines end with a line feed alone: `node:readline` ends them at U+2028 and U+2029 too, which JSON does not escape. */
function eachLine(stream: Readable, take: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  });
  stream.on('end', () => {
    if (rest !== '') take(rest);
  });
}
