import { z } from 'zod';
import { contentKey, prefixProblem, tag } from './values.ts';

/** A key prefix: the beginning of content keys, `<bucket>/` and as much of the path as wanted. Not empty (that would be `all`). */
export const keyPrefix = z
  .string()
  .min(1, 'must not be empty; use {"all":true} for everything')
  .superRefine((prefix, context) => {
    const problem = prefixProblem(prefix);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: `the prefix ${problem}` });
  });

/** What an invalidation covers. Exactly one of the four. */
export type Selector = { key: string } | { prefix: string } | { tag: string } | { all: true };

const selectorFields = {
  key: contentKey.optional(),
  prefix: keyPrefix.optional(),
  tag: tag.optional(),
  all: z.literal(true, 'can only be true').optional(),
};
const exactlyOne = (fields: { [name in keyof typeof selectorFields]?: unknown }): boolean =>
  Object.keys(selectorFields).filter((name) => fields[name as keyof typeof selectorFields] !== undefined).length === 1;
const EXACTLY_ONE = 'name exactly one of "key", "prefix", "tag" or "all"';

/** Schema of a message that has the selector's fields among its own. */
export function withSelector<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z
    .object({ ...selectorFields, ...shape })
    .refine(exactlyOne as (fields: object) => boolean, { message: EXACTLY_ONE, path: ['key'] });
}

/** The selector in a message that has passed {@link withSelector}. */
export function selectorOf(fields: {
  key?: string | undefined;
  prefix?: string | undefined;
  tag?: string | undefined;
  all?: true | undefined;
}): Selector {
  if (fields.key !== undefined) return { key: fields.key };
  if (fields.prefix !== undefined) return { prefix: fields.prefix };
  if (fields.tag !== undefined) return { tag: fields.tag };
  return { all: true };
}

/** Whether `selector` covers an object. */
export function selects(selector: Selector, object: { key: string; tags: readonly string[] }): boolean {
  if ('key' in selector) return selector.key === object.key;
  if ('prefix' in selector) return object.key.startsWith(selector.prefix);
  if ('tag' in selector) return object.tags.includes(selector.tag);
  return true;
}

/** The selector as people write it on a command line: `key=site/app.js`, `tag=v41`, `all`. */
export function describeSelector(selector: Selector): string {
  const [name, value] = Object.entries(selector)[0] as [string, string | true];
  return value === true ? name : `${name}=${value}`;
}

/** `stale`: keep the bytes, ask the origin before serving. `purge`: drop the bytes too, never serve them from memory of the old days. */
export const invalidationMode = z.enum(['stale', 'purge'], 'must be "stale" or "purge"');
export type InvalidationMode = z.output<typeof invalidationMode>;
