/** What proxies say of the requests that they pass on: RFC 7239, and the `X-Forwarded-For` that it replaces (its §7.4). */
import { ipAddress } from './ip-address.ts';

/** The parameters that one proxy has added, by lower-case name: `for`, `by`, `host`, `proto` and extensions (RFC 7239 §5). */
export type ForwardedElement = ReadonlyMap<string, string>;

/** forwarded-pair, RFC 7239 §4. Values that should have been quoted, such as `192.0.2.1:80`, are taken as they are meant. */
const PAIR = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]+))/y;
const SEPARATOR = /[ \t]*[,;]?[ \t]*/y;

/**
 * The elements of a Forwarded field, in the order in which they were added: the proxy nearest to this server last. Undefined when it is malformed anywhere: behind a
 * quotation mark that a visitor has left open, nobody can tell what is the visitor's and what is a proxy's. In linear time.
 */
export function parseForwarded(value: string): readonly ForwardedElement[] | undefined {
  const elements: ForwardedElement[] = [];
  let element = new Map<string, string>();
  // Whether a pair may begin here: at the start of the field, and after a separator.
  let separated = true;
  for (let at = 0; at < value.length; ) {
    SEPARATOR.lastIndex = at;
    const separator = SEPARATOR.exec(value)?.[0] ?? '';
    at += separator.length;
    if (separator.includes(',')) {
      if (element.size > 0) elements.push(element); // an empty member of a list is none (RFC 9110 §5.6.1)
      element = new Map();
    }
    separated ||= /[,;]/.test(separator);
    if (at === value.length || value[at] === ',' || value[at] === ';') continue;
    PAIR.lastIndex = at;
    const [pair, name, quoted, plain = ''] = PAIR.exec(value) ?? [];
    if (pair === undefined || name === undefined || !separated) return undefined;
    // §4: a parameter occurs once in an element.
    if (element.has(name.toLowerCase())) return undefined;
    element.set(name.toLowerCase(), quoted === undefined ? plain : quoted.replace(/\\(.)/gs, '$1'));
    at += pair.length;
    separated = false;
  }
  if (element.size > 0) elements.push(element);
  return elements;
}

/** An IPv6 address in brackets or an IPv4 address, with or without a port (RFC 7239 §6); its obfuscated ports too. */
const NODE = /^(?:\[([^\]]*)\]|(\d+\.\d+\.\d+\.\d+))(?::(?:\d{1,5}|_[A-Za-z0-9._-]+))?$/;

/** The address that a node names, in its one spelling; an IPv6 address may stand without brackets. Undefined for `unknown`, obfuscated identifiers and nonsense. */
export function nodeAddress(node: string): string | undefined {
  const [, ipv6, ipv4] = NODE.exec(node) ?? [];
  if (ipv6 !== undefined && !ipv6.includes(':')) return undefined;
  return ipAddress(ipv6 ?? ipv4 ?? node);
}

/**
 * The nodes of an X-Forwarded-For field as they stand there, the one that the nearest proxy has added last. The field knows no quoted strings: a quotation mark of a
 * visitor's must not swallow what a proxy adds.
 */
export function parseForwardedFor(value: string): readonly string[] {
  return value
    .split(',')
    .map((node) => node.trim())
    .filter((node) => node !== '');
}
