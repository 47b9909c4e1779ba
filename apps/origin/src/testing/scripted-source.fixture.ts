/** A source in memory whose objects change, hang and fail when a test says so. */
import { compareUtf8 } from '../domain/key-order.ts';
import {
  type ContentSource,
  type OpenSourceObject,
  RevisionGoneError,
  SourceAwayError,
  type SourceDescription,
  type SourceObject,
  type SourceRange,
} from '../services/source-port.ts';

/** Bytes that need not be in memory. */
export interface Content {
  readonly size: number;
  /** A new array of `length` bytes from `offset` on. */
  at(offset: number, length: number): Uint8Array;
}

export function contentOf(bytes: Uint8Array): Content {
  return { size: bytes.byteLength, at: (offset, length) => Buffer.from(bytes.subarray(offset, offset + length)) };
}

/** `size` bytes that repeat a pattern. */
export function repeating(pattern: Uint8Array, size: number): Content {
  const at = (offset: number, length: number): Uint8Array => {
    const from = offset % pattern.byteLength;
    return Buffer.alloc(length, Buffer.concat([pattern.subarray(from), pattern.subarray(0, from)]));
  };
  return { size, at };
}

interface Entry {
  readonly object: SourceObject;
  /** What is given; other bytes than those that were named, when a test corrupts them. */
  content: Content;
}

export interface ReadAtSource {
  readonly key: string;
  readonly range: SourceRange | undefined;
}

const DESCRIPTION: SourceDescription = {
  fields: { contentType: 'application/octet-stream', meta: {}, regions: [], tags: [] },
  etag: undefined,
  modifiedAt: '2026-01-01T00:00:00.000Z',
};

export class ScriptedSource implements ContentSource {
  readonly kind = 'directory';
  readonly title = 'scripted source';
  chunkBytes = 64 * 1024;
  isAway = false;
  /** Called before each chunk, and before the end with the offset behind the last byte; may wait or throw. */
  onChunk: (key: string, offset: number) => Promise<void> | void = () => {};
  /** Called before an object is opened; may wait or throw. */
  onOpen: () => Promise<void> | void = () => {};
  /** Called before each answer about a key; may wait or throw. */
  onFind: (key: string) => Promise<void> | void = () => {};
  /** Prefixes listed, and keys looked for. */
  readonly listings: string[] = [];
  readonly finds: string[] = [];
  /** Every opening. */
  readonly reads: ReadAtSource[] = [];
  /** Bytes given. */
  givenBytes = 0;
  /** Openings that are not closed. */
  readonly openings = new Set<object>();
  openingsMax = 0;
  readonly #entries = new Map<string, Entry>();
  #revisions = 0;

  put(key: string, content: Content): SourceObject {
    this.#revisions += 1;
    const revision = `r${this.#revisions}`;
    const object = { key, size: content.size, revision, bytesRevision: revision };
    this.#entries.set(key, { object, content });
    return object;
  }
  remove(key: string): void {
    this.#entries.delete(key);
  }
  /** An object is being written. */
  settle(key: string): void {
    const entry = this.#entries.get(key) as Entry;
    this.#revisions += 1;
    this.#entries.set(key, { ...entry, object: { ...entry.object, revision: `r${this.#revisions}`, settling: true } });
  }
  /** Other bytes under the same revision: what a source must not do, and disks and proxies do. */
  corrupt(key: string, content: Content): void {
    (this.#entries.get(key) as Entry).content = content;
  }

  async *list(prefix: string): AsyncGenerator<readonly SourceObject[]> {
    this.listings.push(prefix);
    this.#requireHere();
    const objects = [...this.#entries.values()].map(({ object }) => object).filter(({ key }) => key.startsWith(prefix));
    yield objects.sort((a, b) => compareUtf8(a.key, b.key));
  }
  async find(key: string): Promise<SourceObject | undefined> {
    this.finds.push(key);
    await this.onFind(key);
    this.#requireHere();
    return this.#entries.get(key)?.object;
  }
  async describe(): Promise<SourceDescription> {
    return DESCRIPTION;
  }
  async watch(): Promise<() => Promise<void>> {
    return async () => {};
  }

  async open(object: SourceObject, range?: SourceRange): Promise<OpenSourceObject> {
    this.reads.push({ key: object.key, range });
    await this.onOpen();
    this.#current(object);
    const opening = { closed: Promise.withResolvers<never>() };
    opening.closed.promise.catch(() => {});
    this.openings.add(opening);
    this.openingsMax = Math.max(this.openingsMax, this.openings.size);
    const close = async (): Promise<void> => {
      opening.closed.reject(new Error('closed'));
      this.openings.delete(opening);
    };
    return { ...DESCRIPTION, chunks: this.#chunks(object, range, opening.closed.promise), close };
  }

  /** What is there, by key. */
  get contents(): ReadonlyMap<string, Content> {
    return new Map([...this.#entries].map(([key, { content }]) => [key, content]));
  }

  #requireHere(): void {
    if (this.isAway) throw new SourceAwayError(this.title, 'a test says so');
  }

  #current(object: SourceObject): Entry {
    this.#requireHere();
    const entry = this.#entries.get(object.key);
    if (entry?.object.revision !== object.revision) throw new RevisionGoneError(object);
    return entry;
  }

  async *#chunks(object: SourceObject, range: SourceRange | undefined, closed: Promise<never>): AsyncGenerator<Uint8Array> {
    const { offset, length } = range ?? { offset: 0, length: this.#current(object).content.size };
    for (let at = offset; at < offset + length; at += this.chunkBytes) {
      await Promise.race([this.onChunk(object.key, at), closed]);
      const chunk = this.#current(object).content.at(at, Math.min(this.chunkBytes, offset + length - at));
      this.givenBytes += chunk.byteLength;
      yield chunk;
    }
    await Promise.race([this.onChunk(object.key, offset + length), closed]);
    this.#current(object);
  }
}
