/** Histories as an origin could have lived them, and the model of an edge that hears of them; for property tests. */
import type { Manifest } from '@sluice/contracts';
import fc from 'fast-check';
import { afterInvalidation, afterRemove, afterStore, type Entry, type Invalidation, type Provenance } from './entry.ts';

export type Message =
  | { readonly op: 'store'; readonly manifest: Manifest; readonly provenance: Provenance }
  | { readonly op: 'remove'; readonly key: string; readonly version: number; readonly reason: 'deleted' | 'region' }
  | { readonly op: 'invalidate'; readonly invalidation: Invalidation };

const KEYS = ['site/a', 'site/img/b', 'site/img/ü', 'other/c'];
const TAGS = ['v1', 'v2'];
/** Contents are 0, 1 and 2 repeated; what has more of these bytes has more variants. */
const VARIANTS = ['b'.repeat(64), 'c'.repeat(64)];
/** Everything that an entry may be served from. */
export const CHECKSUMS: readonly string[] = [...['0', '1', '2'].map((digit) => digit.repeat(64)), ...VARIANTS];

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('store' as const), key: fc.constantFrom(...KEYS), tags: fc.subarray(TAGS), bytes: fc.nat(2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('remove' as const),
      key: fc.constantFrom(...KEYS),
      reason: fc.constantFrom('deleted' as const, 'region' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('resolve' as const), key: fc.constantFrom(...KEYS) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('invalidate' as const),
      mode: fc.constantFrom('stale' as const, 'purge' as const),
      selector: fc.oneof(
        fc.constantFrom(...KEYS).map((key) => ({ key })),
        fc.constantFrom('site/', 'site/img/', 'o', 'site/img/ü').map((prefix) => ({ prefix })),
        fc.constantFrom(...TAGS).map((tag) => ({ tag })),
        fc.constant({ all: true as const }),
      ),
    }),
  },
);

/** The messages of one history, oldest first. Versions rise; a resolve tells what was current at its time. */
export const history: fc.Arbitrary<Message[]> = fc.array(step, { maxLength: 30 }).map((steps) => {
  const current = new Map<string, Manifest>();
  return steps.map((each, position) => messageOf(each, (position + 1) * 10, current)).filter((message) => message !== undefined);
});

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** What is told of a step of the origin's life at `version`; a resolve of what is not there tells nothing. */
function messageOf(each: Step, version: number, current: Map<string, Manifest>): Message | undefined {
  if (each.op === 'invalidate') return { op: 'invalidate', invalidation: { selector: each.selector, version, mode: each.mode } };
  if (each.op === 'remove') {
    current.delete(each.key);
    return { op: 'remove', key: each.key, version, reason: each.reason };
  }
  if (each.op === 'resolve') {
    const manifest = current.get(each.key);
    return manifest && { op: 'store', manifest, provenance: { kind: 'resolved', asOf: version } };
  }
  const variants = VARIANTS.slice(0, each.bytes).map((sha256) => ({ coding: 'br', sha256, size: 5 }));
  const manifest = manifestOf(each.key, version, { tags: each.tags, sha256: String(each.bytes).repeat(64), variants });
  current.set(each.key, manifest);
  return { op: 'store', manifest, provenance: { kind: 'announced' } };
}

export function manifestOf(key: string, version: number, fields: Partial<Manifest> = {}): Manifest {
  return {
    key,
    version,
    sha256: 'a'.repeat(64),
    size: 10,
    contentType: 'text/plain',
    meta: {},
    regions: [],
    tags: [],
    uploadedAt: '2026-01-02T03:04:05.678Z',
    ...fields,
  };
}

/** What an edge that follows the rules knows after hearing messages in this order. */
export function modelAfter(messages: readonly Message[]): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  const invalidations: Invalidation[] = [];
  for (const message of messages) {
    const knowledge = { region: 'US', watermark: 0, invalidations, nowMs: 0 };
    if (message.op === 'invalidate') {
      invalidations.push(message.invalidation);
      for (const entry of [...entries.values()]) put(entries, afterInvalidation(entry, message.invalidation));
    } else if (message.op === 'remove') put(entries, afterRemove(entries.get(message.key), message, knowledge));
    else put(entries, afterStore(entries.get(message.manifest.key), message.manifest, message.provenance, knowledge));
  }
  return entries;
}

function put(entries: Map<string, Entry>, entry: Entry | undefined): void {
  if (entry !== undefined) entries.set(entry.key, entry);
}

/** A history, and the same messages in another order with some of them twice. */
export const retoldHistory: fc.Arbitrary<{ original: Message[]; retold: Message[] }> = history.chain((original) =>
  fc
    .tuple(fc.shuffledSubarray(original, { minLength: original.length }), fc.shuffledSubarray(original))
    .map(([shuffled, again]) => ({ original, retold: [...shuffled, ...again] })),
);

/** Entries in a form that can be compared. */
export function comparable(entries: Iterable<Entry>): object[] {
  return [...entries].sort((a, b) => (a.key < b.key ? -1 : 1)).map((entry) => ({ ...entry, knownAtMs: 0 }));
}
