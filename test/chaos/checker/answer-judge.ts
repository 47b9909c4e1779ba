/** Judges each answer of each edge: right bytes of a version that may have been there, and nothing older than what was there before. Pure. */
import type { KeyHistory, KeyState } from './key-history.ts';
import type { Observation, Violation } from './observation.ts';

/** How far one edge has come with one key. */
export interface Floor {
  /** The oldest state that may still come. */
  index: number;
  /** No smaller version may come any more. */
  version: number;
}

export type Verdict = { readonly ok: true; readonly floor: Floor } | { readonly ok: false; readonly violation: Violation };

/**
 * An answer 200, 206, 304, 404 or 416. `floor` is what was known of this edge and this key when the request was sent: answers that overlap may come in any order.
 * @returns how far the edge has come with this key by this answer, or what it has broken
 */
export function judgeAnswer(seen: Observation, history: KeyHistory, floor: Floor): Verdict {
  const refuse = (invariant: Violation['invariant'], what: string): Verdict => ({
    ok: false,
    violation: { invariant, atMs: seen.endedAtMs, edge: seen.edge, key: seen.key, what: `${what}; ${describe(seen)}` },
  });
  if (seen.version !== undefined && seen.version < floor.version) {
    return refuse('monotonic', `version ${seen.version} after ${floor.version}`);
  }
  if (seen.version !== undefined) {
    const known = history.states.find(({ version }) => version === seen.version);
    if (known !== undefined && !matches(seen, known)) return refuse('integrity', `not the bytes of version ${seen.version}`);
  }
  const mayBe = (state: KeyState, at: number): boolean =>
    state.beganAtMs <= seen.endedAtMs && isOfVersion(seen, history, at) && matches(seen, state);
  const index = history.states.findIndex((state, at) => at >= floor.index && mayBe(state, at));
  if (index >= 0) return { ok: true, floor: { index, version: Math.max(floor.version, seen.version ?? 0) } };
  const older = history.states.findLastIndex(mayBe);
  if (older >= 0) return refuse('monotonic', `state ${older} of the key after ${floor.index}`);
  return refuse('integrity', 'bytes that this key never had');
}

/** A repeated write has had versions that nobody was told of: all smaller than the one that was told, none smaller than that of a write before. */
function isOfVersion({ version, status }: Observation, { states }: KeyHistory, at: number): boolean {
  if (version === undefined || status === 404) return true;
  const before = states.findLast((state, index) => index < at && state.version !== undefined)?.version ?? 0;
  return before <= version && version <= (states[at]?.version ?? Number.POSITIVE_INFINITY);
}

/** Whether an answer says what is true of this state. Of a whole body the validator says nothing here: one that was coded has a checksum of its own. */
function matches(seen: Observation, { bytes, sha256 }: KeyState): boolean {
  switch (seen.status) {
    case 200:
      return bytes?.equals(seen.body) === true;
    case 206: {
      const { first, last, size } = seen.range ?? { first: 0, last: -1, size: -1 };
      // Parts that were put together by a validator of other bytes would be wrong as a whole.
      if (seen.etag !== '' && seen.etag !== sha256) return false;
      // RFC 9110 §14.2: another part than the one that was asked for is no answer to it.
      if (seen.askedFirst !== undefined && seen.askedFirst !== first) return false;
      return bytes?.length === size && last - first + 1 === seen.body.length && bytes.subarray(first, last + 1).equals(seen.body);
    }
    case 304:
      return bytes !== undefined && seen.ifNoneMatch === sha256;
    case 404:
      return bytes === undefined;
    default: // 416
      return bytes !== undefined && (seen.askedFirst ?? 0) >= bytes.length;
  }
}

function describe({ status, body, version, cacheStatus, etag, range }: Observation): string {
  const part = range === undefined ? '' : ` (${range.first}-${range.last}/${range.size})`;
  return `answered ${status}${part} with ${body.length} B, version ${version}, ETag ${etag.slice(0, 12)}, ${cacheStatus}`;
}
