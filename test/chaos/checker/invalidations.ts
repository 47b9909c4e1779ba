/** What every edge has confirmed as invalidated: it is not served unasked again. */
import { type Selector, selects } from '@sluice/contracts';
import { isHit, type Observation, type Violation } from './observation.ts';

export interface AnnouncedInvalidation {
  readonly id: string;
  /** The id of the request that it answers. */
  readonly cause?: string | undefined;
  readonly selector: Selector;
  readonly mode: 'stale' | 'purge';
  /** Covers versions up to this one. */
  readonly version: number;
}

interface Confirmed extends AnnouncedInvalidation {
  readonly confirmedAtMs: number;
  /** Nobody can have known of it before. */
  readonly askedForAtMs: number;
}

/** Of each edge; what is older has had its first answers long ago. */
const CONFIRMED_MAX = 500;

export class Invalidations {
  readonly #announced = new Map<string, AnnouncedInvalidation>();
  /** By the id of the request or of its announcement: when somebody began to ask for it. */
  readonly #askedFor = new Map<string, number>();
  readonly #confirmed = new Map<string, Confirmed[]>();
  /** Per edge and key: the end of the last answer for which the origin was asked, or may have been. */
  readonly #askedAtMs = new Map<string, number>();
  /** Per key and version of its content: the newest version under which that was announced, as with variants. One that comes after an invalidation is not covered by it. */
  readonly #announcedAgain = new Map<string, number>();
  confirmations = 0;

  /** Somebody began to ask for it; `id` is that of the request or, as far as it was answered, of the announcement. */
  askedFor(id: string, atMs: number): void {
    if (!this.#askedFor.has(id)) this.#askedFor.set(id, atMs);
  }

  announced(invalidation: AnnouncedInvalidation): void {
    this.#announced.set(invalidation.id, invalidation);
  }

  /** The outcome of an event says that this edge has done it. */
  confirmed(eventId: string, edge: string, atMs: number): void {
    const invalidation = this.#announced.get(eventId);
    const askedForAtMs = this.#askedFor.get(eventId) ?? this.#askedFor.get(invalidation?.cause ?? '');
    // Of a request that had no answer it is not known.
    if (invalidation === undefined || askedForAtMs === undefined) return;
    const all = this.#confirmed.get(edge) ?? [];
    all.push({ ...invalidation, confirmedAtMs: atMs, askedForAtMs });
    if (all.length > CONFIRMED_MAX) all.shift();
    this.#confirmed.set(edge, all);
    this.confirmations += 1;
  }

  /** The edge has lost what it held: what it has now came later. */
  forget(edge: string): void {
    this.#confirmed.delete(edge);
  }

  /** The events of a while were not heard: nothing that was confirmed can be held against anybody. */
  forgetAll(): void {
    this.#confirmed.clear();
    this.#announced.clear();
  }

  /** The origin has announced content of `contentVersion` (again). */
  contentAnnounced(key: string, version: number, contentVersion: number): void {
    const name = `${key} ${contentVersion}`;
    this.#announcedAgain.set(name, Math.max(version, this.#announcedAgain.get(name) ?? 0));
  }

  /** A request has ended of which it is not known whether the edge asked the origin: it may have. */
  mayHaveAsked(edge: string, key: string, atMs: number): void {
    const name = `${edge} ${key}`;
    // Answers are heard in another order than they came in: a large one is decoded first.
    this.#askedAtMs.set(name, Math.max(atMs, this.#askedAtMs.get(name) ?? 0));
  }

  /** An answer that was right in itself; `tags` are those of what it shows. @returns what is broken by its being served unasked, if anything */
  judge(seen: Observation, tags: readonly string[]): Violation | undefined {
    const { edge, key, version } = seen;
    if (!isHit(seen) && !(seen.cacheStatus.includes('origin-away') && seen.status < 400)) {
      this.mayHaveAsked(edge, key, seen.endedAtMs);
      return undefined;
    }
    if (version === undefined) return undefined;
    const announced = this.#announcedAgain.get(`${key} ${version}`) ?? version;
    const askedAtMs = this.#askedAtMs.get(`${edge} ${key}`) ?? Number.NEGATIVE_INFINITY;
    const broken = this.#confirmed.get(edge)?.findLast(
      (each) =>
        each.confirmedAtMs < seen.startedAtMs &&
        announced <= each.version &&
        selects(each.selector, { key, tags }) &&
        askedAtMs < each.askedForAtMs &&
        // Nobody to ask: what is stale may be served then, what is purged may not.
        (isHit(seen) || each.mode === 'purge'),
    );
    if (broken === undefined) return undefined;
    const what = `version ${version} served with "${seen.cacheStatus}" after ${broken.mode} up to ${broken.version} was confirmed`;
    return { invariant: 'invalidation', atMs: seen.endedAtMs, edge, key, what };
  }
}
