/** Entity tags: RFC 9110 §8.8.3. */

/** An entity tag as it stands in a field: `"abc"` is strong, `W/"abc"` weak. */
export type EntityTag = string;

/** RFC 9110 §8.8.3: etagc is any visible character but the quote, and obs-text. */
const ENTITY_TAGS = /(?:W\/)?"[\x21\x23-\x7e\x80-\uffff]*"/g;

/** Strong comparison, RFC 9110 §8.8.3.2: the same, and neither is weak. */
export function matchesStrongly(a: EntityTag, b: EntityTag): boolean {
  return a === b && !a.startsWith('W/');
}

/** Weak comparison, RFC 9110 §8.8.3.2: the same but for weakness. */
export function matchesWeakly(a: EntityTag, b: EntityTag): boolean {
  return a === b || opaque(a) === opaque(b);
}

function opaque(tag: EntityTag): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}

/** Whether a list of entity tags, as If-Match and If-None-Match have it, names `tag`. What is no entity tag matches none. */
export function listNames(list: string, tag: EntityTag, matches: (a: EntityTag, b: EntityTag) => boolean): boolean {
  // The most frequent request by far: the one tag this representation has.
  if (list === tag) return matches(list, tag);
  for (const [member] of list.matchAll(ENTITY_TAGS)) if (matches(member, tag)) return true;
  return false;
}
