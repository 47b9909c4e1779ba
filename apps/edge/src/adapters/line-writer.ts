/**
 * Lines to a file or to standard output, in the background: a line never waits for the system, and what the system does not take in time is dropped and counted.
 * pino's own writer is not used for this: it writes to a pipe from the thread pool, where a reader that stands still would hold a thread, and with it the end of the process.
 */
import { close, constants as fsConstants, fstat, open, write } from 'node:fs';
import { Socket } from 'node:net';
import { promisify } from 'node:util';
import type { Clock } from '@sluice/runtime';

/** Most bytes of lines that wait; about half a second of a busy edge. */
export const WAITING_MAX_BYTES = 8 * 1024 ** 2;
/** The longest time until a line is handed to the system; also the time between two attempts after one has failed. */
export const FLUSH_MS = 1_000;
/** What the system writes into a pipe in one piece (PIPE_BUF), so that lines of other writers do not come between. */
const PIPE_PIECE_BYTES = 4_096;
const FILE_PIECE_BYTES = 64 * 1024;
/** Time that the last lines get when the writer is closed. */
export const CLOSE_MS = 2_000;

export interface LineWriterOptions {
  /** Undefined: standard output. */
  readonly path: string | undefined;
  readonly clock: Clock;
  readonly onDropped: (lines: number) => void;
  /** Told once when writing begins to fail, and with undefined when it goes on. */
  readonly onState: (error: unknown) => void;
  /** Told when a new file could not be opened; lines still go to the old one. */
  readonly onReopenFailed: (error: unknown) => void;
  /** For tests. */
  readonly waitingMaxBytes?: number;
}

/** Where the pieces go. */
interface Target {
  readonly pieceBytes: number;
  /** Resolves when the system has taken the piece. */
  write(piece: Buffer): Promise<void>;
  close(): Promise<void>;
}

export class LineWriter {
  readonly #options: LineWriterOptions;
  readonly #waitingMaxBytes: number;
  #target: Target;
  /** Lines that do not make a piece yet, and pieces that wait for their turn. All of them are ASCII: a character is a byte. */
  #lines = '';
  #pieces: string[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #reopen = false;
  #failed = false;
  #told = false;
  #closed = false;
  #cancelFlush: (() => void) | undefined;

  private constructor(options: LineWriterOptions, target: Target) {
    this.#options = options;
    this.#waitingMaxBytes = options.waitingMaxBytes ?? WAITING_MAX_BYTES;
    this.#target = target;
  }

  /** @throws when the file cannot be opened for writing, or is a named pipe that nobody reads */
  static async open(options: LineWriterOptions): Promise<LineWriter> {
    return new LineWriter(options, await openTarget(options.path));
  }

  /** Opens the file as {@link open} does, creates it where there is none, and holds it until `close`. @throws as `open` */
  static async hold(path: string): Promise<{ close(): Promise<void> }> {
    return openTarget(path);
  }

  /** Takes a line of ASCII with its line feed. */
  write(line: string): void {
    if (this.#closed || this.#waitingBytes + line.length > this.#waitingMaxBytes) {
      this.#options.onDropped(1);
      return;
    }
    if (this.#lines.length + line.length > this.#target.pieceBytes) this.#handOver();
    this.#lines += line;
    this.#waitingBytes += line.length;
    this.#cancelFlush ??= this.#options.clock.after(FLUSH_MS, () => this.#flush());
  }

  /** Goes on in a new file of the same name, as after `logrotate` has renamed the old one. What was handed to the system is in the old one. */
  reopen(): void {
    this.#reopen = true;
    this.#startWriting();
  }

  /** Writes what waits, for at most two seconds. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelFlush?.();
    this.#handOver();
    this.#failed = false;
    this.#startWriting();
    const { promise: late, resolve: giveUp } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(CLOSE_MS, giveUp);
    await Promise.race([this.#writing, late]);
    cancel();
    const left = this.#pieces.reduce((lines, piece) => lines + piece.split('\n').length - 1, 0);
    if (left > 0) this.#options.onDropped(left);
    this.#pieces = [];
    await this.#target.close();
  }

  #flush(): void {
    this.#cancelFlush = undefined;
    this.#failed = false;
    this.#handOver();
    // Again as long as anything waits: after a failure this is the next attempt.
    if (this.#waitingBytes > 0) this.#cancelFlush = this.#options.clock.after(FLUSH_MS, () => this.#flush());
  }

  #handOver(): void {
    if (this.#lines !== '') this.#pieces.push(this.#lines);
    this.#lines = '';
    this.#startWriting();
  }

  #startWriting(): void {
    if (this.#writing !== undefined || this.#failed || (this.#pieces.length === 0 && !this.#reopen)) return;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Writes piece after piece until nothing waits or one fails; that one is tried again a second later, in a newly opened file. */
  async #writeAll(): Promise<void> {
    try {
      if (this.#reopen) await this.#openAgain();
      for (let piece = this.#pieces[0]; piece !== undefined; piece = this.#pieces[0]) {
        await this.#target.write(Buffer.from(piece, 'latin1'));
        this.#pieces.shift();
        this.#waitingBytes -= piece.length;
        if (this.#reopen) await this.#openAgain();
      }
      this.#tell(undefined);
    } catch (error) {
      this.#failed = true;
      this.#reopen = true;
      this.#tell(error);
    }
  }

  async #openAgain(): Promise<void> {
    this.#reopen = false;
    try {
      const former = this.#target;
      this.#target = await openTarget(this.#options.path);
      await former.close();
    } catch (error) {
      // After a failed write, that has been told.
      if (!this.#told) this.#options.onReopenFailed(error);
    }
  }

  #tell(error: unknown): void {
    if ((error !== undefined) === this.#told) return;
    this.#told = error !== undefined;
    this.#options.onState(error);
  }
}

const [openFile, writeFile, closeFile, stateOf] = [promisify(open), promisify(write), promisify(close), promisify(fstat)];
const STDOUT = 1;
/** Neither opening nor writing waits for the reader of a pipe. */
const FLAGS = fsConstants.O_WRONLY | fsConstants.O_APPEND | fsConstants.O_CREAT | fsConstants.O_NONBLOCK;
/** For the edge and its group, because addresses of people stand in it. */
const MODE = 0o640;

async function openTarget(path: string | undefined): Promise<Target> {
  if (path !== undefined) {
    const file = await openFile(path, FLAGS, MODE);
    return (await stateOf(file)).isFIFO() ? pipeTarget(file) : fileTarget(file);
  }
  if (!(await stateOf(STDOUT)).isFIFO()) return fileTarget(STDOUT);
  // A description of its own: that it does not wait must not hold for others who write to standard output. Where there is no /proc, a thread of the pool waits.
  return openFile('/proc/self/fd/1', FLAGS).then(pipeTarget, () => fileTarget(STDOUT));
}

function fileTarget(file: number): Target {
  return {
    pieceBytes: FILE_PIECE_BYTES,
    async write(piece) {
      for (let written = 0; written < piece.byteLength; ) written += (await writeFile(file, piece, written)).bytesWritten;
    },
    close: async () => (file === STDOUT ? undefined : closeFile(file)),
  };
}

function pipeTarget(pipe: number): Target {
  const socket = new Socket({ fd: pipe, readable: false, writable: true });
  socket.on('error', () => {}); // the piece that was being written is told
  return {
    pieceBytes: PIPE_PIECE_BYTES,
    write: (piece) => new Promise((resolve, reject) => socket.write(piece, (error) => (error ? reject(error) : resolve()))),
    close: async () => void socket.destroy(),
  };
}
