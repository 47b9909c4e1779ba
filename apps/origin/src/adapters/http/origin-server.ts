/** The origin's HTTP side: the S3 API, invalidations, and the operations paths. */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type AdminRule,
  answerOperations,
  drainHttpServer,
  inItsTurn,
  isOperationsPath,
  type Logger,
  openSockets,
  type Readiness,
  type Registry,
} from '@sluice/runtime';
import { presignedFields } from '../../domain/presigned-fields.ts';
import { needsOf } from '../../domain/rights.ts';
import { S3Error, type S3ErrorCode, toS3Error } from '../../domain/s3-error.ts';
import { methodsFor, operationOf } from '../../domain/s3-operation.ts';
import { resourceOf, targetPath, targetQuery } from '../../domain/s3-resource.ts';
import { inPathStyle } from '../../domain/virtual-host.ts';
import type { SourceKind } from '../../services/source-port.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import type { Authentication } from './authenticate.ts';
import { Exchange, type HeaderList } from './exchange.ts';
import { BLOBS_PATH, type GetBlobOptions, getBlob } from './get-blob.ts';
import { postInvalidation } from './invalidations.ts';
import { refuseChange } from './read-only.ts';
import { postRollback } from './rollbacks.ts';
import type { S3Handler, S3Handlers } from './s3-handler.ts';

export interface ConnectionLimits {
  /** Time for a request's header. Bodies may take as long as they keep moving. */
  readonly headersMs: number;
  /** How often that is looked at. By Node's own 30 s, a header would have up to 60. */
  readonly checkMs: number;
  /** A connection on which nothing moves for so long is closed. */
  readonly idleMs: number;
  /** Connections beyond this are closed at once. */
  readonly connectionsMax: number;
}

const LIMITS: ConnectionLimits = { headersMs: 30_000, checkMs: 1_000, idleMs: 60_000, connectionsMax: 4096 };
/** Time for running requests after the end was announced; below the lifecycle's own deadline. */
const DRAIN_MS = 8_000;
const INVALIDATIONS_PATH = '/-/invalidations';
const ROLLBACKS_PATH = '/-/rollbacks';
/** Of this origin, not of S3: they take and give JSON. */
const OWN_PATHS: ReadonlySet<string> = new Set([INVALIDATIONS_PATH, ROLLBACKS_PATH]);

export interface OriginServerOptions extends GetBlobOptions {
  readonly host: string;
  readonly port: number;
  readonly catalog: Catalog;
  readonly handlers: S3Handlers;
  /** Of which kind the source is that is only shown here; undefined: content is written here. */
  readonly readOnly?: Exclude<SourceKind, 'store'> | undefined;
  readonly authentication: Authentication;
  /** Of metrics and the reasons of readiness; what is S3's goes by {@link authentication}. */
  readonly refusalOf: AdminRule;
  /** Below these names buckets are hosts; in lower case. */
  readonly domains: readonly string[];
  readonly readiness: Readiness;
  readonly registry: Registry;
  readonly metrics: OriginMetrics;
  readonly log: Logger;
  /** For tests. */
  readonly limits?: Partial<ConnectionLimits> | undefined;
}

export class OriginServer {
  readonly #options: OriginServerOptions;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;

  private constructor(options: OriginServerOptions) {
    this.#options = options;
    const limits = { ...LIMITS, ...options.limits };
    this.#server = createServer({
      headersTimeout: limits.headersMs,
      requestTimeout: 0,
      connectionsCheckingInterval: limits.checkMs,
      keepAliveTimeout: limits.idleMs,
    });
    this.#sockets = openSockets(this.#server);
    this.#server.timeout = limits.idleMs;
    this.#server.maxConnections = limits.connectionsMax;
    this.#server.on('request', (request, response) => void this.#serve(request, response, false));
    this.#server.on('checkContinue', (request, response) => inItsTurn(response, () => void this.#serve(request, response, true)));
    this.#server.on('clientError', (error, socket) => {
      const code = refuseBrokenRequest(error, socket);
      if (code !== undefined) options.metrics.refusals.inc({ code });
    });
  }

  static async listen(options: OriginServerOptions): Promise<OriginServer> {
    const created = new OriginServer(options);
    await new Promise<void>((resolve, reject) => {
      created.#server.once('error', reject);
      created.#server.listen(options.port, options.host, () => resolve());
    });
    return created;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no more connections, lets running requests end, then closes what is left. */
  stop(): Promise<void> {
    return drainHttpServer(this.#server, DRAIN_MS, this.#sockets);
  }

  async #serve(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): Promise<void> {
    const { metrics, log } = this.#options;
    const exchange = new Exchange(request, response, expectsContinue);
    let refusedAs: string | undefined;
    response.once('close', () => {
      if (refusedAs !== undefined) metrics.refusals.inc({ code: refusedAs });
      if (response.headersSent) metrics.httpRequests.inc({ class: `${Math.floor(response.statusCode / 100)}xx` });
    });
    try {
      await this.#route(exchange);
    } catch (error) {
      const refusal = toS3Error(error);
      refusedAs = refusal.code;
      if (refusal.status >= 500 && refusal.status !== 501) {
        log.error({ err: error, method: request.method, requestId: exchange.requestId }, 'request failed');
      }
      const headers = allowIn(refusal, exchange, this.#options.readOnly !== undefined);
      if (OWN_PATHS.has(targetPath(exchange.pathStyleTarget))) {
        exchange.answerJson(refusal.status, { error: { code: refusal.code, message: refusal.message } }, headers);
      } else exchange.refuse(refusal, headers);
    }
  }

  async #route(exchange: Exchange): Promise<void> {
    const { catalog, readiness, registry, metrics, handlers, readOnly, authentication, refusalOf, domains } = this.#options;
    const { method, headers } = exchange.request;
    exchange.pathStyleTarget = inPathStyle(exchange.target, headers.host, domains);
    const path = targetPath(exchange.pathStyleTarget);
    if ((method === 'GET' || method === 'HEAD') && isOperationsPath(path)) {
      const refusal = refusalOf({ authorization: headers.authorization, host: headers.host });
      const operations = await answerOperations(path, readiness, registry, refusal);
      if (operations !== undefined) {
        const { challenge } = operations;
        return exchange.answer({ ...operations, headers: challenge === undefined ? [] : [['www-authenticate', challenge]] });
      }
    }
    if (OWN_PATHS.has(path)) {
      if (method !== 'POST') throw new S3Error('MethodNotAllowed', 'only POST is possible here');
      const { authorize } = authentication.authenticate(exchange);
      if (path === ROLLBACKS_PATH && readOnly !== undefined) refuseChange(readOnly);
      return path === ROLLBACKS_PATH ? postRollback(exchange, catalog, authorize) : postInvalidation(exchange, catalog, metrics, authorize);
    }
    if (path.startsWith(`${BLOBS_PATH}/`)) return getBlob(exchange, path, this.#options);
    const resource = resourceOf(exchange.pathStyleTarget);
    const query = targetQuery(exchange.target);
    exchange.addFields(presignedFields(query));
    const operation = operationOf(method ?? '', resource, query, headers);
    const { authorize, may } = authentication.authenticate(exchange);
    authorize(needsOf(operation, resource, headers));
    const handle = handlers[operation] as S3Handler | undefined;
    if (handle === undefined) throw new S3Error('NotImplemented', `${operation} is not supported`);
    await handle(exchange, { resource, query, may });
  }
}

/** What a path takes instead of the method that was refused (RFC 9110 §15.5.6). */
function allowIn({ status }: S3Error, { pathStyleTarget: target }: Exchange, isReadOnly: boolean): HeaderList {
  if (status !== 405) return [];
  const path = targetPath(target);
  if (OWN_PATHS.has(path)) return [['allow', 'POST']];
  // It names no resource of the S3 API.
  return [['allow', isReadOnly || path.startsWith(`${BLOBS_PATH}/`) ? 'GET, HEAD' : methodsFor(resourceOf(target))]];
}

/** What the HTTP parser refuses never becomes a request; the answer is written by hand. Returns its code; undefined: there is nobody to answer. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): S3ErrorCode | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return undefined;
  }
  const [status, code] = BROKEN_REQUESTS[error.code ?? ''] ?? ([400, 'InvalidRequest'] as const);
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>the request is not complete HTTP/1.1</Message></Error>`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/xml\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  return code;
}

const BROKEN_REQUESTS: Readonly<Record<string, readonly [status: number, code: S3ErrorCode]>> = {
  HPE_INVALID_EOF_STATE: [400, 'IncompleteBody'],
  HPE_HEADER_OVERFLOW: [431, 'MetadataTooLarge'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'RequestTimeout'],
};
