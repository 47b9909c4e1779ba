/** Reads answers of HTTP/1.1 as they come off a connection: enough of it for servers whose answers have a length or come in chunks. */

export interface Reply {
  readonly status: number;
  /** Of the body, without its framing. */
  readonly bytes: number;
  /** Of the body, as far as it was kept. */
  readonly text: string;
  /** Field names in lower case. */
  readonly fields: ReadonlyMap<string, string>;
}

const HEAD_END = '\r\n\r\n';
const LINE_END = '\r\n';
const LINE_FEED = 0x0a;

type Place = 'head' | 'length' | 'chunk-line' | 'chunk' | 'chunk-end' | 'trailer';

/** One answer after the other; the body is counted, and kept up to `keptBytes`. */
export class ReplyReader {
  readonly #keptBytes: number;
  #place: Place = 'head';
  /** Of head, chunk line or trailer, until its end is there; a character is a byte. */
  #line = '';
  #left = 0;
  #status = 0;
  #fields = new Map<string, string>();
  #bytes = 0;
  #kept: Buffer[] = [];
  #keptNow = 0;

  constructor(keptBytes: number) {
    this.#keptBytes = keptBytes;
  }

  /** Takes what came. Returns the answer when it is complete. `piece` may be written over afterwards. @throws when it is no answer, or more than one */
  take(piece: Buffer): Reply | undefined {
    for (let at = 0; at < piece.byteLength; ) {
      const from = at;
      if (this.#left > 0) {
        at = Math.min(piece.byteLength, from + this.#left);
        if (this.#place !== 'chunk-end') this.#keep(piece.subarray(from, at));
        this.#left -= at - from;
        if (this.#left > 0) return undefined;
        if (!this.#enter(this.#place === 'chunk' ? 'chunk-end' : this.#place === 'chunk-end' ? 'chunk-line' : 'head')) continue;
      } else {
        const lineFeed = piece.indexOf(LINE_FEED, from);
        at = lineFeed === -1 ? piece.byteLength : lineFeed + 1;
        this.#line += piece.toString('latin1', from, at);
        const end = this.#place === 'head' ? HEAD_END : LINE_END;
        if (!this.#line.endsWith(end)) continue;
        const line = this.#line.slice(0, -end.length);
        this.#line = '';
        if (!this.#enter(this.#after(line))) continue;
      }
      if (at < piece.byteLength) throw new Error('more came than was asked for');
      return this.#finish();
    }
    return undefined;
  }

  /** Where a line leads. */
  #after(line: string): Place {
    if (this.#place === 'head') return this.#readHead(line);
    if (this.#place === 'trailer') return line === '' ? 'head' : 'trailer';
    this.#left = Number.parseInt(line, 16);
    if (Number.isNaN(this.#left)) throw new Error(`no length of a chunk: ${line.slice(0, 20)}`);
    return this.#left === 0 ? 'trailer' : 'chunk';
  }

  #readHead(head: string): Place {
    const [first = '', ...lines] = head.split(LINE_END);
    const status = /^HTTP\/1\.1 (\d{3})/.exec(first)?.[1];
    if (status === undefined) throw new Error(`no answer of HTTP/1.1: ${first.slice(0, 40)}`);
    this.#status = Number(status);
    this.#fields = new Map(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const),
    );
    this.#bytes = this.#keptNow = 0;
    this.#kept = [];
    if (this.#fields.get('transfer-encoding')?.toLowerCase() === 'chunked') return 'chunk-line';
    this.#left = Number(this.#fields.get('content-length') ?? 0);
    return this.#left === 0 ? 'head' : 'length';
  }

  /** Returns whether the answer is complete. */
  #enter(place: Place): boolean {
    this.#place = place;
    if (place === 'chunk-end') this.#left = LINE_END.length;
    return place === 'head';
  }

  #keep(bytes: Buffer): void {
    this.#bytes += bytes.byteLength;
    const room = this.#keptBytes - this.#keptNow;
    if (room <= 0) return;
    const kept = Buffer.from(bytes.subarray(0, room));
    this.#kept.push(kept);
    this.#keptNow += kept.byteLength;
  }

  #finish(): Reply {
    const [status, bytes, kept, fields] = [this.#status, this.#bytes, this.#kept, this.#fields];
    return { status, bytes, text: Buffer.concat(kept).toString('utf8'), fields };
  }
}
