import { styleText } from 'node:util';
import type { OutputStream } from '../adapters/io.ts';
import { visible } from './quantity.ts';

type Format = Parameters<typeof styleText>[0];

/** Where a command's words go: results on stdout, everything else on stderr, and JSON instead of words when that was asked for. */
export class Terminal {
  readonly json: boolean;
  readonly #stdout: OutputStream;
  readonly #stderr: OutputStream;

  constructor(streams: { readonly stdout: OutputStream; readonly stderr: OutputStream }, json: boolean) {
    this.#stdout = streams.stdout;
    this.#stderr = streams.stderr;
    this.json = json;
  }

  /** Whether somebody watches, so that bars may move. */
  get interactive(): boolean {
    return !this.json && this.#stderr.isTTY === true;
  }
  /** For what draws by itself. */
  get stderr(): OutputStream {
    return this.#stderr;
  }

  /** A line of the result, for people; nothing with `--json`. */
  line(text: string): void {
    if (!this.json) this.#stdout.write(`${text}\n`);
  }
  /** The result, or a part of it, for programs: one line of JSON; nothing without `--json`. */
  document(value: unknown): void {
    if (this.json) this.#stdout.write(`${JSON.stringify(value)}\n`);
  }
  /** Progress, in words; nothing with `--json`. */
  note(text: string): void {
    if (!this.json) this.#stderr.write(`${text}\n`);
  }
  /** May quote what came from elsewhere. */
  warn(text: string): void {
    this.#stderr.write(`${this.#style('yellow', 'warning:', this.#stderr)} ${visibleLines(text)}\n`);
  }
  /** May quote what came from elsewhere. */
  error(text: string): void {
    this.#stderr.write(`${this.#style('red', 'error:', this.#stderr)} ${visibleLines(text)}\n`);
  }

  /** Text of a result in a colour; plain when stdout is no terminal or NO_COLOR is set. */
  style(format: Format, text: string): string {
    return this.#style(format, text, this.#stdout);
  }

  #style(format: Format, text: string, stream: OutputStream): string {
    return stream.isTTY === true ? styleText(format, text, { stream }) : text;
  }
}

function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n');
}
