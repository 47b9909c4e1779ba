/** What a listing of a source says against what a catalog has: both come in the order of their keys, so one walk along both finds it. */
import { compareUtf8 } from './key-order.ts';
import type { SourceObject } from './source-object.ts';

export type Difference =
  /** The source has it, and the catalog has not, or not in that state. */
  | { readonly kind: 'found'; readonly object: SourceObject }
  /** The catalog has it, and the listing has not. */
  | { readonly kind: 'missing'; readonly key: string }
  | { readonly kind: 'same' };

/** One {@link Difference} for each key of either. */
export async function* differences(
  listed: AsyncIterable<readonly SourceObject[]>,
  known: Iterator<SourceObject>,
): AsyncGenerator<Difference> {
  let next = known.next();
  for await (const page of listed) {
    for (const object of page) {
      while (next.done !== true && compareUtf8(next.value.key, object.key) < 0) {
        yield { kind: 'missing', key: next.value.key };
        next = known.next();
      }
      const isKnown = next.done !== true && next.value.key === object.key;
      const isSame = object.settling === true || (isKnown && next.value.revision === object.revision);
      yield isSame ? { kind: 'same' } : { kind: 'found', object };
      if (isKnown) next = known.next();
    }
  }
  for (; next.done !== true; next = known.next()) yield { kind: 'missing', key: next.value.key };
}
