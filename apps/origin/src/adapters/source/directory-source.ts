/**
 * A directory tree, as it is, as the content of one bucket. It is read and never written.
 *
 * What is being written is told apart by time: a file is announced when nothing has changed it for `settleMs`. One that comes by a rename waits as well: nothing that can be
 * asked about a file says whether it came so or was written where it is. While it waits it is `settling`, so that what was there before is not taken for removed.
 * Stamps of the file system are compared with this machine's clock: over a network, both must agree, or files wait for as long as they differ.
 *
 * Which state a file is in is told by device, inode, size, mtime and ctime. So a change of rights, or a hard link made to it, is another state, whose bytes are read
 * again; and what a program writes through a memory mapping is noticed when the system writes it back. Names are taken as they are: a file system that takes several
 * names for one file, as that of macOS does, has it under each that is asked for.
 */
import { hash } from 'node:crypto';
import { watch } from 'node:fs';
import { keyProblem } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import { fieldsFor, isIgnored, type SourceRules } from '../../domain/source-rules.ts';
import {
  type ContentSource,
  type OpenSourceObject,
  RevisionGoneError,
  type SourceDescription,
  type SourceHint,
  type SourceObject,
  type SourceRange,
} from '../../services/source-port.ts';
import { DirectoryTree, type FoundFile } from './directory-tree.ts';
import { walk } from './directory-walk.ts';
import { DirectoryWatch, type WatchDirectory } from './directory-watch.ts';
import { fromReadError } from './file-errors.ts';
import { isSettled, modifiedAt, stateOf } from './file-state.ts';
import { HintCollector, type HintSubject } from './hint-collector.ts';
import { openFile } from './open-file.ts';

/** Longer than the coarsest stamps of common file systems but FAT, whose are 2 s. */
export const SETTLE_MS = 1_000;
export const HINTS_MAX = 10_000;
export const WATCHES_MAX = 100_000;
export const RECHECK_MS = 60_000;
const PAGE = 1_000;
const WARNED_MAX = 20;

export interface DirectorySourceOptions {
  readonly root: string;
  readonly bucket: string;
  /** As they are now. When they change, everything is to be looked at again. */
  readonly rules: () => SourceRules;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Default {@link SETTLE_MS}. At least the granularity of the file system's stamps. */
  readonly settleMs?: number | undefined;
  /**
   * Symbolic links that lead to something in the root are followed, unless this is `false`; others never. A change to what a link to a file leads to gives no hint at the
   * link, and is found at the next look.
   */
  readonly followLinks?: boolean | undefined;
  /** Most paths that wait to be told as hints, or to be watched. Default {@link HINTS_MAX}; beyond, everything is hinted at. */
  readonly hintsMax?: number | undefined;
  /** Most directories that are watched. Default {@link WATCHES_MAX}; beyond, everything is hinted at each `recheckMs`. */
  readonly watchesMax?: number | undefined;
  /** Default {@link RECHECK_MS}. */
  readonly recheckMs?: number | undefined;
  /** Default: `watch` of `node:fs`. */
  readonly watchDirectory?: WatchDirectory | undefined;
  /** Told of what can be no object, at each look through its directory; the path is the one in the tree. */
  readonly onLeftOut?: ((path: string, problem: string) => void) | undefined;
}

export class DirectorySource implements ContentSource {
  readonly kind = 'directory';
  readonly title: string;
  readonly #options: DirectorySourceOptions;
  readonly #settleMs: number;
  readonly #tree: DirectoryTree;
  readonly #watching = new Set<HintCollector>();
  /** Problems that were told: of each the first example, so that a tree full of them does not fill the log. */
  readonly #warned = new Set<string>();

  constructor(options: DirectorySourceOptions) {
    this.#options = options;
    this.#settleMs = options.settleMs ?? SETTLE_MS;
    this.title = `directory ${options.root}`;
    this.#tree = new DirectoryTree({
      root: options.root,
      title: this.title,
      followLinks: options.followLinks ?? true,
      isIgnored: this.#isIgnored,
    });
  }

  async *list(prefix: string): AsyncGenerator<readonly SourceObject[]> {
    const bucket = this.#keyOf('');
    const pathPrefix = prefix.startsWith(bucket) ? prefix.slice(bucket.length) : bucket.startsWith(prefix) ? '' : undefined;
    if (pathPrefix === undefined) return;
    const files = walk(
      {
        tree: this.#tree,
        onLeftOut: (path, problem) => this.#leaveOut(path, problem),
        pathProblem: (path) => keyProblem(this.#keyOf(path)),
      },
      pathPrefix,
    );
    let page: SourceObject[] = [];
    for await (const file of files) {
      page.push(this.#objectOf(file));
      if (page.length < PAGE) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  async find(key: string): Promise<SourceObject | undefined> {
    const file = await this.#fileOf(key);
    return file && this.#objectOf(file);
  }

  async describe(object: SourceObject): Promise<SourceDescription> {
    return this.#descriptionOf(await this.#still(object));
  }

  async open(object: SourceObject, range?: SourceRange): Promise<OpenSourceObject> {
    const file = await this.#still(object);
    return await openFile({
      key: object.key,
      file,
      range,
      description: this.#descriptionOf(file),
      isStill: async () => {
        const now = await this.#fileOf(object.key);
        return now !== undefined && stateOf(now.stat) === stateOf(file.stat);
      },
      failure: (error) => fromReadError(error, object.key, (cause) => this.#tree.away(cause, file.path)),
    });
  }

  async watch(onHint: (hint: SourceHint) => void): Promise<() => Promise<void>> {
    const { clock, log, hintsMax = HINTS_MAX, watchesMax = WATCHES_MAX, recheckMs = RECHECK_MS } = this.#options;
    const hints = new HintCollector({
      clock,
      settleMs: this.#settleMs,
      max: hintsMax,
      isSettling: async (path) => (await this.find(this.#keyOf(path)).catch(() => undefined))?.settling === true,
      emit: (about) => {
        const hint = this.#hintOf(about);
        if (hint !== undefined) onHint(hint);
      },
    });
    const watching = new DirectoryWatch({
      ...{ tree: this.#tree, title: this.title, hints, isIgnored: this.#isIgnored },
      ...{ changesMax: hintsMax, watchesMax, recheckMs, clock, log, watchDirectory: this.#options.watchDirectory ?? watch },
    });
    await watching.start();
    this.#watching.add(hints);
    return async () => {
      this.#watching.delete(hints);
      hints.stop();
      await watching.stop();
    };
  }

  #leaveOut(path: string, problem: string): void {
    this.#options.onLeftOut?.(path, problem);
    if (this.#warned.has(problem) || this.#warned.size >= WARNED_MAX) return;
    this.#warned.add(problem);
    this.#options.log.warn({ source: this.title, example: { path, problem } }, 'files of the source are left out');
  }

  readonly #isIgnored = (path: string): boolean => isIgnored(this.#options.rules(), path);

  #keyOf(path: string): string {
    return `${this.#options.bucket}/${path}`;
  }

  /** @throws {SourceAwayError} */
  async #fileOf(key: string): Promise<FoundFile | undefined> {
    const bucket = this.#keyOf('');
    if (keyProblem(key) !== undefined || !key.startsWith(bucket)) return undefined;
    const root = await this.#tree.root();
    const entry = await this.#tree.resolve(root, key.slice(bucket.length));
    if (entry.kind === 'file') return entry.file;
    await this.#tree.confirm(root);
    return undefined;
  }

  /** @throws {RevisionGoneError | SourceAwayError} */
  async #still(object: SourceObject): Promise<FoundFile> {
    const file = await this.#fileOf(object.key);
    if (file === undefined) throw new RevisionGoneError(object);
    const { revision, settling } = this.#objectOf(file);
    if (settling || revision !== object.revision) throw new RevisionGoneError(object);
    return file;
  }

  #objectOf(file: FoundFile): SourceObject {
    const state = stateOf(file.stat);
    const object = {
      key: this.#keyOf(file.path),
      size: Number(file.stat.size),
      revision: `${state}.${digestOf(this.#descriptionOf(file))}`,
      bytesRevision: state,
    };
    if (isSettled(file.stat, this.#options.clock.nowMs(), this.#settleMs)) return object;
    for (const hints of this.#watching) hints.note({ path: file.path });
    return { ...object, settling: true };
  }

  #descriptionOf({ path, stat }: FoundFile): SourceDescription {
    return { fields: fieldsFor(this.#options.rules(), path), etag: undefined, modifiedAt: modifiedAt(stat) };
  }

  #hintOf(about: HintSubject): SourceHint | undefined {
    if ('all' in about) return about;
    if ('under' in about) return about.under === '' ? { all: true } : { prefix: this.#keyOf(`${about.under}/`) };
    const key = this.#keyOf(about.path);
    return keyProblem(key) === undefined ? { key } : undefined;
  }
}

/** The same for the same fields, whichever rule said which first. */
function digestOf({ fields }: SourceDescription): string {
  return hash('sha256', JSON.stringify(fields, inOrderOfNames), 'base64url');
}

function inOrderOfNames(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
