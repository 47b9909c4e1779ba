/** The fields of an HTTP/2 request as the rules of HTTP take them. Pure. */

/** Fields of which a second one is not a continuation of a list; the first counts, as with HTTP/1.1. */
const SINGLE = new Set(
  'authorization content-length content-type from host if-modified-since if-unmodified-since max-forwards proxy-authorization referer user-agent'.split(
    ' ',
  ),
);

/**
 * From name, value, name, value …, pseudo-fields first: `:authority` is also Host (RFC 9113 §8.3.1), several fields of a name are one list (RFC 9110 §5.3), and crumbs of a
 * cookie one (RFC 9113 §8.2.3).
 */
export function fieldsOfHttp2(rawFields: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = Object.create(null);
  const add = (name: string, value: string): void => {
    const before = fields[name];
    if (before === undefined) fields[name] = value;
    else if (!SINGLE.has(name)) fields[name] = `${before}${name === 'cookie' ? ';' : ','} ${value}`;
  };
  for (let at = 0; at + 1 < rawFields.length; at += 2) {
    const [name, value] = [rawFields[at] as string, rawFields[at + 1] as string];
    add(name, value);
    if (name === ':authority') add('host', value);
  }
  return fields;
}

/** The size of the fields of a request as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 §6.5.2). */
export function fieldSectionBytes(rawFields: readonly string[]): number {
  return rawFields.reduce((sum, text) => sum + text.length, 16 * rawFields.length);
}
