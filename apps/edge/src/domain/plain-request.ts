/**
 * The request that nearly every visitor sends, read without ado: GET or HEAD of a path by HTTP/1.1, without content, each field once and on one line. Everything else is
 * left to a parser that knows the whole of HTTP/1.1 (RFC 9112): being wrong about what is here costs nothing, being wrong about what is accepted would.
 */
import type { Fields } from '@sluice/http-semantics';

export interface PlainRequest {
  readonly method: 'GET' | 'HEAD';
  /** The request target: an absolute path with or without a query. */
  readonly url: string;
  readonly fields: Fields & { readonly host: string };
  /** Where it ends in the text it was read from. */
  readonly end: number;
}

/** Longer heads are left to the other parser, and its limit. */
const HEAD_MAX_CHARACTERS = 8192;
/** Methods and targets, RFC 9112 §3: visible ASCII characters, with one space between each two parts. */
const REQUEST_LINE = /(GET|HEAD) (\/[!-~]*) HTTP\/1\.1\r\n/y;
/** A field line, RFC 9112 §5: a token, a colon, a value of visible characters, spaces and tabs; a value is trimmed by whoever uses this. */
const FIELD_LINE = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)\r\n/y;
/** What says that there is content, or that the connection is to be used in another way; and a name that is special in JavaScript. */
const LEFT_ALONE: ReadonlySet<string> = new Set([
  '__proto__',
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** A host name with or without a port; all else is looked at by the other parser. */
const HOST = /^[A-Za-z0-9.-]+(?::\d{1,5})?$/;

/** Reads the request that begins at `start` of `text`, one character for each byte. Undefined: it is none of these, or not whole. */
export function readPlainRequest(text: string, start: number): PlainRequest | undefined {
  REQUEST_LINE.lastIndex = start;
  const line = REQUEST_LINE.exec(text);
  if (line === null) return undefined;
  const fields: Record<string, string> = Object.create(null);
  let at = REQUEST_LINE.lastIndex;
  while (text.charCodeAt(at) !== 13) {
    FIELD_LINE.lastIndex = at;
    const field = FIELD_LINE.exec(text);
    if (field === null) return undefined;
    at = FIELD_LINE.lastIndex;
    const name = (field[1] as string).toLowerCase();
    if (fields[name] !== undefined) return undefined;
    if (LEFT_ALONE.has(name) && !isKeepAlive(name, field[2] as string)) return undefined;
    fields[name] = (field[2] as string).trim();
  }
  const end = at + 2;
  const { host } = fields;
  if (text.charCodeAt(at + 1) !== 10 || end - start > HEAD_MAX_CHARACTERS || host === undefined || !HOST.test(host)) return undefined;
  return { method: line[1] as 'GET' | 'HEAD', url: line[2] as string, fields: fields as Record<string, string> & { host: string }, end };
}

/** Browsers say so, and mean what HTTP/1.1 has anyway (RFC 9112 §9.3). */
function isKeepAlive(name: string, value: string): boolean {
  return name === 'connection' && value.trim().toLowerCase() === 'keep-alive';
}
