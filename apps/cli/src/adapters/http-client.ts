/** HTTP to Sluice's services: what was sent is what arrives, and every failure is a sentence. `fetch` would undo a Content-Encoding. */
import http from 'node:http';
import https from 'node:https';
import type { Readable } from 'node:stream';
import { redactSignature } from '@sluice/signed-url';
import { type Credentials, EMPTY_SHA256, signedFields, UNSIGNED_PAYLOAD } from '@sluice/sigv4';
import { readErrorBody } from '../domain/error-body.ts';
import { CommandError, EXIT } from '../domain/failure.ts';

/** Nothing moved on the connection for this long. */
const IDLE_TIMEOUT_MS = 60_000;
/** Longest answer that is read as text, in bytes: a controller's list of thousands of edges fits. */
const TEXT_MAX_BYTES = 16 * 1024 * 1024;
/** Connections kept to one service. */
const SOCKETS_MAX = 16;

const agents = {
  'http:': new http.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX }),
  'https:': new https.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX }),
} as const;

/** One of Sluice's HTTP sides, as messages name it. */
export interface Service {
  readonly name: string;
  /** Without a slash at the end. */
  readonly url: string;
  /** What to do when it is out of reach. */
  readonly remedy: string;
  /** Requests to it are signed with them. */
  readonly credentials?: Credentials | undefined;
}

export interface Body {
  readonly sizeBytes: number;
  /** Lower-case hexadecimal; a body of which it is not known beforehand is not signed. */
  readonly sha256?: string;
  /** May be called again when a connection that had been kept turns out to be closed. */
  open(): Readable | Buffer;
}

export interface Outgoing {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Percent-encoded, beginning with a slash. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body;
  /** For the whole exchange; absent: only a connection that stands still ends it. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Sends a request and resolves with the answer's head. Bytes of the body of the answer are as they were sent.
 * @throws {CommandError} unreachable, or failed when the body could not be read
 */
export async function send(service: Service, outgoing: Outgoing): Promise<http.IncomingMessage> {
  try {
    return await attempt(service, outgoing);
  } catch (error) {
    // The server closed a kept connection while the request was on its way (RFC 9112 §9.3.1): once more on a new one.
    if (error instanceof StaleConnectionError) return await attempt(service, outgoing);
    throw error;
  }
}

class StaleConnectionError extends Error {}

function attempt(service: Service, outgoing: Outgoing): Promise<http.IncomingMessage> {
  const { method, path, body, timeoutMs, signal } = outgoing;
  const url = new URL(service.url);
  const secure = url.protocol === 'https:';
  const signals = [...(signal === undefined ? [] : [signal]), ...(timeoutMs === undefined ? [] : [AbortSignal.timeout(timeoutMs)])];
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request({
      agent: agents[secure ? 'https:' : 'http:'],
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      ...(url.username === '' ? {} : { auth: `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` }),
      method,
      path: url.pathname.replace(/\/$/, '') + path,
      headers: { ...fieldsOf(service, outgoing), ...(body === undefined ? {} : { 'content-length': String(body.sizeBytes) }) },
      ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) }),
    });
    let source: Readable | undefined;
    request.setTimeout(IDLE_TIMEOUT_MS, () => request.destroy(new Error(`nothing moved for ${IDLE_TIMEOUT_MS / 1000} seconds`)));
    request.once('response', (response) => {
      if (source !== undefined && !request.writableEnded) {
        // An answer before the end of the body is a refusal: the rest need not be sent.
        source.unpipe(request);
        source.destroy();
        response.once('close', () => request.destroy());
      }
      resolve(response);
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      source?.destroy();
      const stale = request.reusedSocket && error.code === 'ECONNRESET';
      reject(signal?.aborted ? signal.reason : stale ? new StaleConnectionError(error.message) : unreachable(service, error));
    });
    const content = body?.open();
    if (content === undefined || Buffer.isBuffer(content)) return void request.end(content);
    source = content;
    source.once('error', (error) => {
      reject(error);
      request.destroy();
    });
    source.pipe(request);
  });
}

function fieldsOf({ url, credentials }: Service, { method, path, headers = {}, body }: Outgoing): Readonly<Record<string, string>> {
  if (credentials === undefined) return headers;
  const payloadHash = body === undefined ? EMPTY_SHA256 : (body.sha256 ?? UNSIGNED_PAYLOAD);
  return signedFields({ method, url: new URL(url + path), headers, payloadHash }, credentials, Date.now());
}

/** A service's URL as it may be shown: a terminal is often a log too. */
export function shownUrl({ url }: Service): string {
  return redactSignature(url);
}

/** The network's failures in the user's words. */
function unreachable(service: Service, error: NodeJS.ErrnoException): CommandError {
  const { name, remedy } = service;
  const reasons: Readonly<Record<string, string>> = {
    ECONNREFUSED: `is it running? ${remedy}`,
    ENOTFOUND: 'there is no such host',
    EAI_AGAIN: 'the host name could not be looked up',
    ECONNRESET: 'it closed the connection',
    EPIPE: 'it closed the connection',
    ABORT_ERR: 'it did not answer in time',
  };
  const reason = reasons[error.code ?? ''] ?? (error.name === 'TimeoutError' ? 'it did not answer in time' : error.message);
  return new CommandError(EXIT.UNREACHABLE, 'UNREACHABLE', `cannot reach ${name} at ${shownUrl(service)}: ${reason}`, error);
}

/** The answer's whole body as text. @throws {CommandError} when it breaks off or is too long */
export async function readText(service: Service, response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > TEXT_MAX_BYTES) throw new Error(`its answer is longer than ${TEXT_MAX_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw unreachable(service, error as NodeJS.ErrnoException);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** An answer that says no, as the failure it means: 404 is not found, the rest failed. */
export async function refusal(service: Service, response: http.IncomingMessage, what: string): Promise<CommandError> {
  const status = response.statusCode ?? 0;
  const { code, message } = readErrorBody(status, await readText(service, response));
  return new CommandError(status === 404 ? EXIT.NOT_FOUND : EXIT.FAILED, code, `${service.name} refused to ${what}: ${message}`);
}

/** JSON of an answer, checked. @throws {CommandError} when it is not what this version of the command understands */
export async function readJson<Value>(
  service: Service,
  response: http.IncomingMessage,
  parse: (value: unknown) => { success: true; data: Value } | { success: false; error: { message: string } },
): Promise<Value> {
  const text = await readText(service, response);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw misunderstood(service);
  }
  const result = parse(value);
  if (!result.success) throw misunderstood(service, result.error);
  return result.data;
}

/** What answers is no Sluice service, or one of another version. */
export function misunderstood(service: Service, cause?: unknown): CommandError {
  return new CommandError(
    EXIT.FAILED,
    'UNEXPECTED_ANSWER',
    `what answers at ${shownUrl(service)} does not answer as ${service.name} of this version would; check the address`,
    cause,
  );
}
