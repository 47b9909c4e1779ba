import { SluiceError } from '@sluice/contracts';
import { type Announced, isSameContent, type RequestOrigin, removing, type StoredBody, storing } from '../../domain/catalog-change.ts';
import type { SourceObject } from '../../domain/source-object.ts';
import type { UploadFields } from '../../domain/upload-headers.ts';
import type { CatalogChanges } from './catalog-changes.ts';
import type { CatalogCore } from './catalog-core.ts';
import type { KnownBytes } from './sourced-table.ts';

/** An object as it stands at a source, with its bytes read. */
export interface SourcedContent {
  readonly object: SourceObject;
  readonly fields: UploadFields;
  readonly body: StoredBody;
  /** RFC 3339 with milliseconds. */
  readonly uploadedAt: string;
}

/** The catalog has got another state of an object than the one it had when somebody began to look at the source: what was found there may be old. */
export class OvertakenError extends SluiceError {
  constructor(key: string) {
    super('OVERTAKEN', `${key} was brought up to date by somebody else meanwhile; look at it again`, { retryable: true });
    this.name = 'OvertakenError';
  }
}

/** What stands at a source, as far as the catalog has it. */
export class SourcedObjects {
  readonly #core: CatalogCore;
  readonly #changes: CatalogChanges;

  constructor(core: CatalogCore, changes: CatalogChanges) {
    this.#core = core;
    this.#changes = changes;
  }

  /** The state of an object that the catalog has. */
  find(key: string): SourceObject | undefined {
    return this.#core.sourced.find(key);
  }
  /** The bytes that a key had when they were last read, also in a catalog that has begun anew. */
  bytesOf(key: string): KnownBytes | undefined {
    return this.#core.sourced.bytesOf(key);
  }
  /** The first `limit` objects after a key of those that begin with `prefix`, in the order of their bytes. */
  page(prefix: string, after: string, limit: number): SourceObject[] {
    return this.#core.sourced.page(prefix, after, limit);
  }

  /** Where the bytes of a blob are, as far as objects at a source go, and how many; undefined when nothing has them. */
  locate(sha256: string): { readonly object: SourceObject | undefined; readonly size: number } | undefined {
    const object = this.#core.sourced.locate(sha256);
    const size = object?.size ?? this.#core.references.derivedSize(sha256);
    return size === undefined ? undefined : { object, size };
  }

  /**
   * Makes the state of an object at its source that of the catalog. `seen`: the revision that the catalog had when the source was asked. Undefined when nothing that edges are told
   * has changed. @throws {OvertakenError}
   */
  async reflect(
    { object, fields, body, uploadedAt }: SourcedContent,
    seen: string | undefined,
    request?: RequestOrigin,
  ): Promise<Announced | undefined> {
    const { objects, sourced, requests } = this.#core;
    const { key } = object;
    const current = objects.find(key);
    if (current !== undefined && sourced.find(key)?.revision === seen && isSameContent(current, fields, body)) {
      await this.#core.write(() => {
        // Another origin's change may have come into the same transaction.
        this.#requireSeen(key, seen);
        sourced.remember(key, object, body);
      });
      return undefined;
    }
    return this.#changes.ordered(() => {
      this.#requireSeen(key, seen);
      const { current, tombstone } = this.#changes.lookUp(key);
      const content = { key, fields, body, variants: this.#changes.variantsFor(fields, body), uploadedAt, source: object };
      // A request that is delivered again was answered with what there was then: under the same event nobody would hear of this.
      const isAnswered = request !== undefined && requests.has(request.eventId);
      return storing(content, { current, everBefore: tombstone?.ever }, this.#core.stamp(isAnswered ? undefined : request));
    });
  }

  /** Removes what is no longer at its source. @throws {OvertakenError} as {@link reflect} */
  async remove(key: string, seen: string | undefined, request?: RequestOrigin): Promise<Announced | undefined> {
    return this.#changes.ordered(() => {
      this.#requireSeen(key, seen);
      const current = this.#core.objects.find(key);
      return current === undefined ? undefined : removing(key, current.ever, this.#core.stamp(request));
    });
  }

  /** Whether a change, of whichever origin, was the answer to a request. */
  hasAnswered({ eventId }: RequestOrigin): boolean {
    return this.#core.requests.has(eventId);
  }

  /** What is known of the bytes of a key at its source does not hold: the next look reads them. */
  async doubt(key: string): Promise<void> {
    await this.#core.write(() => this.#core.sourced.doubt(key));
  }

  #requireSeen(key: string, seen: string | undefined): void {
    if (this.#core.sourced.find(key)?.revision !== seen) throw new OvertakenError(key);
  }
}
