/** A request as a line of the access log, in the combined format of Apache and nginx or as JSON. Pure. */
import { redactSignature } from '@sluice/signed-url';

export const ACCESS_LOG_FORMATS = ['combined', 'json'] as const;
export type AccessLogFormat = (typeof ACCESS_LOG_FORMATS)[number];

/** What is known of a request when it has been answered, or cut off. The texts are as the client has sent them. */
export interface AccessEntry {
  /** When the request came, milliseconds since the epoch. */
  readonly timeMs: number;
  readonly durationMs: number;
  readonly client: string | undefined;
  /** Undefined, as the target is, when the request could not be read. */
  readonly method: string | undefined;
  readonly target: string | undefined;
  /** `1.1` */
  readonly httpVersion: string | undefined;
  readonly host: string | undefined;
  readonly referer: string | undefined;
  readonly userAgent: string | undefined;
  readonly site: string | undefined;
  readonly status: number;
  /** Bytes of the body that were sent. */
  readonly bodyBytes: number;
  /** How the answer came about: `hit`, `miss`, `stale` …; undefined when no object was asked for. */
  readonly cache: string | undefined;
  /** Of the object that was sent. */
  readonly version: number | undefined;
  /** False when the answer was cut off before its end. */
  readonly complete: boolean;
}

/**
 * No line is longer, with its line feed. The system writes so much into a pipe in one piece (PIPE_BUF), so that nothing of another writer comes between the two halves of
 * a line.
 */
export const LINE_MAX_BYTES = 4_096;
/** Longest texts in a line, as they are written there; what is longer is cut, and ends with three dots. */
const TEXT_MAX = { method: 32, target: 1_500, host: 260, referer: 1_000, userAgent: 600 } as const;

/** A function that makes lines of one format. A line is printable ASCII with a line feed at its end, whatever the client has sent. */
export function accessLogFormat(format: AccessLogFormat, edgeId: string): (entry: AccessEntry) => string {
  return format === 'json' ? jsonFormat(edgeId) : combinedFormat();
}

/** `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`, as nginx writes it: 0 for no body, `-` for what is missing. */
function combinedFormat(): (entry: AccessEntry) => string {
  const clock = cachedSecond((at) => {
    const [, day, month, year, time] = /^\w+, (\d+) (\w+) (\d+) ([\d:]+) GMT$/.exec(at.toUTCString()) ?? [];
    return `${day}/${month}/${year}:${time} +0000`;
  });
  const text = (value: string | undefined, max: number): string => (value === undefined || value === '' ? '-' : shown(value, max, inHex));
  return (entry) => {
    const { method, target, httpVersion, referer } = entry;
    const request =
      target === undefined
        ? '-'
        : `${text(method, TEXT_MAX.method)} ${text(redactSignature(target), TEXT_MAX.target)} HTTP/${text(httpVersion, TEXT_MAX.method)}`;
    const from = referer === undefined ? '-' : text(redactSignature(referer), TEXT_MAX.referer);
    const time = clock(entry.timeMs);
    return `${entry.client ?? '-'} - - [${time}] "${request}" ${entry.status} ${entry.bodyBytes} "${from}" "${text(entry.userAgent, TEXT_MAX.userAgent)}"\n`;
  };
}

/** One object, with the fields that every log line of the edge has, so that both can go the same way. */
function jsonFormat(edgeId: string): (entry: AccessEntry) => string {
  const clock = cachedSecond((at) => at.toISOString().slice(0, 19));
  const text = (value: string | undefined, max: number): string => (value === undefined ? 'null' : `"${shown(value, max, inJson)}"`);
  return (entry) => {
    const { timeMs, target, referer, httpVersion } = entry;
    const time = `${clock(timeMs)}.${String(timeMs % 1_000).padStart(3, '0')}Z`;
    const host = text(entry.host, TEXT_MAX.host);
    const protocol = httpVersion === undefined ? 'null' : text(`HTTP/${httpVersion}`, TEXT_MAX.method);
    const request = `"method":${text(entry.method, TEXT_MAX.method)},"target":${text(target && redactSignature(target), TEXT_MAX.target)},"protocol":${protocol},"host":${host}`;
    const site = `"site":${text(entry.site, TEXT_MAX.host)}`;
    const answer = `"status":${entry.status},"bodyBytes":${entry.bodyBytes},"durationMs":${Math.round(entry.durationMs * 1_000) / 1_000},"complete":${entry.complete}`;
    const object = `"cache":${text(entry.cache, TEXT_MAX.method)},"version":${entry.version ?? 'null'}`;
    const from = `"referer":${text(referer && redactSignature(referer), TEXT_MAX.referer)},"userAgent":${text(entry.userAgent, TEXT_MAX.userAgent)}`;
    return `{"level":"info","time":"${time}","app":"edge","edge":"${edgeId}","client":${text(entry.client, TEXT_MAX.host)},${request},${site},${answer},${object},${from},"msg":"request"}\n`;
  };
}

const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** A text with everything escaped that could end it, or a line, or steer a terminal. */
function shown(text: string, max: number, escaped: (code: number) => string): string {
  if (text.length <= max && PLAIN.test(text)) return text;
  let written = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] as string;
    const piece = PLAIN.test(character) ? character : escaped(text.charCodeAt(at));
    if (written.length + piece.length > max - (at === text.length - 1 ? 0 : ELLIPSIS.length)) return written + ELLIPSIS;
    written += piece;
  }
  return written;
}

const ELLIPSIS = '...';

/** As nginx does it (ngx_http_log_escape): `\x22`. A character of a header field is one byte. */
function inHex(code: number): string {
  const hex = code.toString(16).toUpperCase();
  return hex.padStart(hex.length <= 2 ? 2 : 4, '0').replace(/../g, '\\x$&');
}

/** RFC 8259 §7. */
function inJson(code: number): string {
  return `\\u${code.toString(16).padStart(4, '0')}`;
}

/** A text of an instant that is the same for a whole second; thousands of lines share it. */
function cachedSecond(format: (at: Date) => string): (timeMs: number) => string {
  let second = Number.NaN;
  let text = '';
  return (timeMs) => {
    const current = Math.floor(timeMs / 1_000);
    if (current !== second) [second, text] = [current, format(new Date(current * 1_000))];
    return text;
  };
}
