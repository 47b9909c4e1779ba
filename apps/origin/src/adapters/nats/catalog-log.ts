import { createHash, randomUUID } from 'node:crypto';
import type { Link, LogEntry, SharedLog } from '@sluice/bus';
import { CATALOG_LOG, type CatalogEntry, decode, describeSelector, encode, selectorOf } from '@sluice/contracts';
import type { CatalogChange, InvalidationChange, LogFact } from '../../domain/catalog-change.ts';

const GENESIS = 'genesis';
const LISTED = 'listed';
const FORGOTTEN = 'forgotten';

type Invalidation = Pick<InvalidationChange, 'selector' | 'mode'>;

/** What an entry says, with its place. */
export interface PlacedEntry {
  readonly position: number;
  readonly storedAtMs: number;
  readonly entry: CatalogEntry;
}

/** The beginning of a catalog. */
export interface Genesis {
  readonly catalogId: string;
  /** All of its versions are greater. */
  readonly version: number;
  readonly position: number;
  /** Whose content it is, where that was said. */
  readonly source?: string | undefined;
}

/** The log of a shared catalog: changes as entries, each under a subject that names what it is about by a digest, because keys and selectors can be no subjects. */
export class CatalogLog {
  readonly #log: SharedLog;
  /** Whose content the catalog is of; undefined: that is not looked at. */
  readonly source: string | undefined;

  constructor(log: SharedLog, source?: string) {
    this.#log = log;
    this.source = source;
  }

  ensure(): Promise<void> {
    return this.#log.ensure();
  }
  last(): Promise<number> {
    return this.#log.last();
  }

  /** Which catalog the log is of, and since which position; undefined when that was not said yet. */
  async genesis(): Promise<Genesis | undefined> {
    const found = await this.#log.newest(GENESIS);
    if (found === undefined) return undefined;
    const { entry } = read(found);
    return entry.kind === 'genesis' ? { ...entry, position: found.position } : undefined;
  }

  /** Begins another catalog behind the entry at `after`, with versions greater than `version`. Undefined when another entry came first. */
  async begin(after: number, version: number): Promise<number | undefined> {
    const position = await this.#append(GENESIS, { kind: 'genesis', catalogId: randomUUID(), version, source: this.source }, after);
    if (position !== undefined && position > 1) await this.#log.dropAll(position - 1);
    return position;
  }

  /** Everything at the source is in the log. Undefined when another entry came first. */
  sayListed(after: number): Promise<number | undefined> {
    return this.#append(LISTED, { kind: 'listed' }, after);
  }

  /** Up to which version removals and invalidations may be missing; 0: none is. */
  async forgotten(): Promise<number> {
    const found = await this.#log.newest(FORGOTTEN);
    const entry = found && read(found).entry;
    return entry?.kind === 'forgotten' ? entry.version : 0;
  }

  /** Removals and invalidations up to a version are going to be dropped. Undefined when another entry came first. */
  sayForgotten(version: number, after: number): Promise<number | undefined> {
    return this.#append(FORGOTTEN, { kind: 'forgotten', version }, after);
  }

  /** As {@link SharedLog.append}. */
  append(change: CatalogChange, after: number, link: Link): Promise<number | undefined> {
    return this.#append(tokenOf(change), change, after, link);
  }

  #append(token: string, entry: CatalogEntry, after: number, link?: Link): Promise<number | undefined> {
    return this.#log.append(token, encode(`${CATALOG_LOG.subjectPrefix}.${token}`, CATALOG_LOG.message, entry), after, link);
  }

  /** Drops what the log took up to `upTo` of a key that was removed, or of an invalidation. What came later stays. */
  async forget(about: { readonly key: string } | Invalidation, upTo: number): Promise<void> {
    await this.#log.drop('key' in about ? tokenOfKey(about.key) : tokenOfInvalidation(about), upTo);
  }

  follow(options: {
    readonly position: () => number;
    readonly onEntry: (placed: PlacedEntry) => Promise<void>;
    readonly caughtUp: () => Promise<void>;
    readonly check: () => Promise<void>;
  }): { stop(): Promise<void> } {
    return this.#log.follow({ ...options, onEntry: (entry) => options.onEntry(read(entry)) });
  }
}

function read({ position, storedAtMs, data }: LogEntry): PlacedEntry {
  return { position, storedAtMs, entry: decode(CATALOG_LOG.name, CATALOG_LOG.message, data) };
}

/** What an entry says of the catalog that the log is of. */
export function factOf(entry: Exclude<CatalogEntry, { kind: 'genesis' }>): LogFact {
  if (entry.kind === 'object') return { ...entry, previous: entry.previous };
  return entry.kind === 'invalidation' ? { ...entry, selector: selectorOf(entry.selector) } : entry;
}

function tokenOf(change: CatalogChange): string {
  switch (change.kind) {
    case 'object':
      return tokenOfKey(change.manifest.key);
    case 'removal':
      return tokenOfKey(change.key);
    case 'invalidation':
      return tokenOfInvalidation(change);
  }
}

function tokenOfKey(key: string): string {
  return `key-${digest(key)}`;
}
function tokenOfInvalidation({ selector, mode }: Invalidation): string {
  return `selector-${digest(`${mode} ${describeSelector(selector)}`)}`;
}

/** 128 bits of a SHA-256. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest().subarray(0, 16).toString('hex');
}
