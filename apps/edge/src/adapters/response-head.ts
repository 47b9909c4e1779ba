/** Most bytes that a response head may take. */
const HEAD_MAX_BYTES = 16 * 1024;

export interface ResponseHead {
  readonly status: number;
  /** Of the body, undefined when it is not announced. */
  readonly contentLength: number | undefined;
  /** Length of the head, with the empty line. */
  readonly bytes: number;
}

/**
 * The head at the beginning of an HTTP/1.1 response (RFC 9112 §4, §5), undefined while it is not complete.
 * @throws when it is none or is too long
 */
export function parseResponseHead(received: Buffer): ResponseHead | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1 && received.byteLength < HEAD_MAX_BYTES) return undefined;
  if (end === -1 || end > HEAD_MAX_BYTES) throw new Error('the head of the response is too long');
  const [statusLine = '', ...lines] = received.toString('latin1', 0, end).split('\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine)?.[1];
  if (status === undefined) throw new Error('what answers does not speak HTTP/1.1');
  const fields = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  // With a transfer coding the length of the body is not announced, whatever else is said (RFC 9112 §6.3).
  const length = fields.has('transfer-encoding') ? undefined : fields.get('content-length');
  return {
    status: Number(status),
    contentLength: length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined,
    bytes: end + 4,
  };
}
