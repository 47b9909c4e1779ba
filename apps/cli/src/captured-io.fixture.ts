import { Writable } from 'node:stream';
import type { Io } from './adapters/io.ts';
import { runProgram } from './program.ts';

class Capture extends Writable {
  readonly #chunks: Buffer[] = [];
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#chunks.push(chunk);
    this.emit('captured');
    done();
  }
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
  get text(): string {
    return this.bytes.toString('utf8');
  }
}

/** A command's surroundings with ears: what it writes is kept, and Ctrl-C is a call. */
export class CapturedIo implements Io {
  readonly stdout = new Capture();
  readonly stderr = new Capture();
  readonly #listeners = new Set<() => void>();

  nowMs = (): number => Date.now();
  monotonicMs = (): number => performance.now();
  sleep = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));
  onInterrupt(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  interrupt(): void {
    for (const listener of this.#listeners) listener();
  }
  get interruptListeners(): number {
    return this.#listeners.size;
  }
  /** Resolves when stdout contains `text`. */
  async stdoutHas(text: string): Promise<void> {
    while (!this.stdout.text.includes(text)) await new Promise((resolve) => this.stdout.once('captured', resolve));
  }
  /** Each line of stdout as JSON. */
  get documents(): Record<string, unknown>[] {
    return this.stdout.text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }
}

/** Runs one command line to its end. */
export async function sluice(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string; io: CapturedIo }> {
  const io = new CapturedIo();
  const exitCode = await runProgram(args, io);
  return { exitCode, stdout: io.stdout.text, stderr: io.stderr.text, io };
}
