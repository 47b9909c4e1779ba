/** Which representation of an object a request gets: RFC 9110 §12.5.3. */
import type { Manifest } from '@sluice/contracts';
import { codingWeights, type Fields, fieldOf } from '@sluice/http-semantics';
import { LRUCache } from 'lru-cache';
import { perManifest } from './per-manifest.ts';

/** What has to be on an edge for a representation to be served. */
export type Content = Pick<Manifest, 'key' | 'sha256' | 'size'>;

/** The codings that an edge hands out. A variant of another one is for those who know what it is. */
const CODINGS = ['br', 'zstd', 'gzip'] as const;
type Coding = (typeof CODINGS)[number];
type Weights = Readonly<Record<Coding | 'identity', number>>;

/** Values of Accept-Encoding whose weights are remembered: browsers and tools have some dozens among them. */
export const REMEMBERED_MAX = 256;
const REMEMBERED_MAX_CHARACTERS = 128;

export interface Selection {
  /** The manifest of the selected representation: the object's own, or with checksum, size and coding of a variant. */
  readonly representation: Manifest;
  /** The variant that would have been selected, were it held. */
  readonly missing: Content | undefined;
}

interface Variant {
  readonly coding: Coding;
  readonly representation: Manifest;
}

/** Smallest first. What was uploaded with a coding of its own has none. */
const variantsOf = perManifest((manifest): readonly Variant[] => {
  if (manifest.contentEncoding !== undefined) return [];
  const known = (manifest.variants ?? []).flatMap(({ coding: name, sha256, size }) => {
    const coding = CODINGS.find((candidate) => candidate === name);
    return coding === undefined ? [] : [{ coding, representation: { ...manifest, sha256, size, contentEncoding: coding } }];
  });
  return known.sort((a, b) => a.representation.size - b.representation.size);
});

/** Everything that a manifest may be served from. */
export function contentsOf({ key, sha256, size, variants = [] }: Manifest): Content[] {
  return [{ key, sha256, size }, ...variants.map((variant) => ({ key, sha256: variant.sha256, size: variant.size }))];
}

/** Whether the answer to a request for it depends on Accept-Encoding (§12.5.5). */
export function isNegotiated(manifest: Manifest): boolean {
  return manifest.variants !== undefined;
}

/**
 * The most acceptable representation that is held, the smallest among equals. Who sends no Accept-Encoding would have to take anything and gets the content as it
 * is; so does who accepts nothing that there is (§12.5.3 lets a server disregard the field, and a 406 helps nobody).
 *
 * A visitor who has a representation, whole or in part, and says so, keeps it as long as it is acceptable: variants that appear some seconds after an upload make
 * nobody read again what did not change.
 */
export function selectRepresentation(manifest: Manifest, request: Fields, isHeld: (sha256: string) => boolean): Selection {
  const field = fieldOf(request, 'accept-encoding');
  if (field === undefined || manifest.variants === undefined) return { representation: manifest, missing: undefined };
  const weights = weightsOf(field);
  const known = namedBy(fieldOf(request, 'if-none-match'), manifest, weights);
  // Nothing but its tag is needed for a 304.
  if (known !== undefined) return { representation: known, missing: undefined };
  const resumed = namedBy(fieldOf(request, 'if-range') ?? fieldOf(request, 'if-match'), manifest, weights);
  if (resumed !== undefined && isHeld(resumed.sha256)) return { representation: resumed, missing: undefined };
  const wanted = best(manifest, weights, () => true);
  if (wanted === manifest || isHeld(wanted.sha256)) return { representation: wanted, missing: undefined };
  return { representation: best(manifest, weights, isHeld), missing: wanted };
}

/** The acceptable representation whose entity tag, its checksum in quotes, is in a field. */
function namedBy(tags: string | undefined, manifest: Manifest, weights: Weights): Manifest | undefined {
  if (tags === undefined) return undefined;
  const named = (sha256: string): boolean => tags.includes(`"${sha256}"`);
  const variant = variantsOf(manifest).find(({ coding, representation }) => weights[coding] > 0 && named(representation.sha256));
  return variant?.representation ?? (weights.identity > 0 && named(manifest.sha256) ? manifest : undefined);
}

function best(manifest: Manifest, weights: Weights, isHeld: (sha256: string) => boolean): Manifest {
  let selected = manifest;
  let selectedWeight = weights.identity;
  for (const { coding, representation } of variantsOf(manifest)) {
    const weight = weights[coding];
    const isBetter = weight > selectedWeight || (weight === selectedWeight && selected === manifest);
    if (weight === 0 || !isBetter || !isHeld(representation.sha256)) continue;
    selected = representation;
    selectedWeight = weight;
  }
  return selected;
}

const remembered = new LRUCache<string, Weights>({ max: REMEMBERED_MAX });

/** Values of Accept-Encoding whose weights are remembered now. */
export function rememberedFields(): number {
  return remembered.size;
}

function weightsOf(field: string): Weights {
  const known = remembered.get(field);
  if (known !== undefined) return known;
  const weightOf = codingWeights(field);
  const weights = { br: weightOf('br'), zstd: weightOf('zstd'), gzip: weightOf('gzip'), identity: weightOf('identity') };
  if (field.length <= REMEMBERED_MAX_CHARACTERS) remembered.set(field, weights);
  return weights;
}
