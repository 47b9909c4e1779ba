/** Content negotiation by coding: RFC 9110 §12.5.3. */
import { listMembers } from './fields.ts';

/** qvalue, RFC 9110 §12.4.2: 0 to 1 with at most three digits. */
const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

/**
 * How acceptable a content coding is to the sender of an Accept-Encoding field: 0 not at all, 1 most. `identity` is the uncoded
 * representation. Without the field everything is acceptable; an empty field asks for `identity`. A member that does not parse says nothing.
 */
export function codingWeights(field: string | undefined): (coding: string) => number {
  if (field === undefined) return () => 1;
  const weights = new Map<string, number>();
  for (const member of listMembers(field)) {
    const [name = '', ...parameters] = member.split(';').map((part) => part.trim());
    const weight = parameters.length === 0 ? 1 : Number(WEIGHT.exec(parameters[0] ?? '')?.[1] ?? Number.NaN);
    if (!Number.isNaN(weight)) weights.set(alias(name.toLowerCase()), weight);
  }
  const rest = weights.get('*');
  return (coding) => {
    const own = weights.get(coding);
    if (own !== undefined) return own;
    if (coding !== 'identity') return rest ?? 0;
    // §12.5.3 rule 2 and 3: identity is acceptable unless it, or "*" without it, is excluded. It is then the least wanted of what is acceptable.
    return rest === 0 ? 0 : Number.MIN_VALUE;
  };
}

/** RFC 9110 §8.4.1.1, §8.4.1.3: old names that are to be taken for the current ones. */
function alias(coding: string): string {
  return coding === 'x-gzip' ? 'gzip' : coding === 'x-compress' ? 'compress' : coding;
}

/**
 * The most acceptable of the available codings, in the order of the server's preference among equals. Undefined: none is acceptable, and the server may
 * answer 406 or send `identity` all the same (§12.5.3).
 */
export function preferredCoding<Coding extends string>(field: string | undefined, available: readonly Coding[]): Coding | undefined {
  const weightOf = codingWeights(field);
  let best: Coding | undefined;
  let bestWeight = 0;
  for (const coding of available) {
    const weight = weightOf(coding);
    if (weight > bestWeight) [best, bestWeight] = [coding, weight];
  }
  return best;
}
