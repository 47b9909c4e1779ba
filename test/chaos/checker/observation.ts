/** An answer of an edge to a reader, as it was seen from outside. Times are milliseconds since the run began. */
export interface Observation {
  readonly edge: string;
  readonly key: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly status: number;
  /** Decoded, as far as `Content-Encoding` says; of a 304 empty. */
  readonly body: Buffer;
  /** `first` and `last` of `Content-Range`, and the whole size, of a 206. */
  readonly range?: { readonly first: number; readonly last: number; readonly size: number };
  /** `X-Sluice-Version`. */
  readonly version: number | undefined;
  /** `Cache-Status`. */
  readonly cacheStatus: string;
  /** The checksum in `ETag`, without quotes and whatever marks a coding. */
  readonly etag: string;
  /** The first byte that `Range` asked for. */
  readonly askedFirst?: number;
  /** Which checksum `If-None-Match` named. */
  readonly ifNoneMatch?: string;
}

/** Answered without asking the origin. */
export function isHit({ cacheStatus }: Pick<Observation, 'cacheStatus'>): boolean {
  return /(^|;)\s*hit(;|$)/.test(cacheStatus);
}

export interface Violation {
  /** The number of the invariant in DESIGN §4, and its name. */
  readonly invariant:
    | 'integrity'
    | 'monotonic'
    | 'convergence'
    | 'durability'
    | 'invalidation'
    | 'availability'
    | 'isolation'
    | 'boundedness';
  readonly atMs: number;
  readonly edge?: string;
  readonly key?: string;
  readonly what: string;
}
