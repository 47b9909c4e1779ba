/** GET and HEAD for visitors: looks the key up, asks the origin where the rules say so, sends what is held. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { BlobMissingError, type BlobReader, type BlobStore } from '@sluice/blobs';
import { type Manifest, SluiceError } from '@sluice/contracts';
import { type CacheDirectives, fieldOf, parseCacheControl } from '@sluice/http-semantics';
import type { Clock, Logger } from '@sluice/runtime';
import { type CacheHandling, cacheStatus } from '../domain/cache-status.ts';
import { ageSeconds } from '../domain/freshness.ts';
import { type Lookup, lookUp } from '../domain/lookup.ts';
import { parseTarget } from '../domain/request-target.ts';
import { type BodyPiece, planResponse, type ReadRequest } from '../domain/response.ts';
import type { EdgeMetrics } from '../metrics.ts';
import type { AbsentKeys } from '../services/absent-keys.ts';
import type { DiskBudget } from '../services/disk-budget.ts';
import { OriginAwayError, type Puller } from '../services/puller.ts';
import type { Transfers } from '../services/transfers.ts';
import type { CatalogIndex } from './catalog-index.ts';

/** Bytes up to which a body is read at once and sent in one piece. */
const WHOLE_BODY_BYTES = 64 * 1024;
/** RFC 9110 §10.2.1: what a target of this server can be asked. */
const ALLOW = ['Allow', 'GET, HEAD, OPTIONS'];
/** How often a request is looked up again when its bytes were evicted between look-up and reading. */
const LOOKUP_ATTEMPTS = 3;

export interface VisitorParts {
  readonly edgeId: string;
  readonly index: CatalogIndex;
  readonly blobs: BlobStore;
  readonly budget: DiskBudget;
  readonly puller: Puller;
  readonly transfers: Transfers;
  readonly absentKeys: AbsentKeys;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: EdgeMetrics;
  /** When catch-up last vouched for all placed entries, milliseconds since the epoch. */
  readonly caughtUpAtMs: () => number | undefined;
}

type Result = 'hit' | 'miss' | 'revalidated' | 'stale' | 'absent' | 'invalid' | 'unavailable';

/** What a request comes to: bytes to send, or a status without them. */
type Answer =
  | {
      readonly kind: 'object';
      readonly manifest: Manifest;
      readonly handling: CacheHandling;
      readonly result: Result;
      readonly detached?: boolean;
    }
  | {
      readonly kind: 'status';
      readonly status: 404 | 502 | 503 | 504;
      readonly message: string;
      readonly handling: CacheHandling;
      readonly result: Result;
    };

export class VisitorHandler {
  readonly #parts: VisitorParts;

  constructor(parts: VisitorParts) {
    this.#parts = parts;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method } = request;
    if (method === 'OPTIONS') return void response.writeHead(204, ALLOW).end();
    if (method !== 'GET' && method !== 'HEAD') {
      return this.#sendStatus(response, 405, 'use GET or HEAD: content is uploaded at the origin', 'invalid', ALLOW);
    }
    const target = parseTarget(request.url ?? '/');
    if (target.kind === 'invalid') return this.#sendStatus(response, 400, target.problem, 'invalid', []);
    const wishes = parseCacheControl(fieldOf(request.headers, 'cache-control'));
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#answer(target.key, wishes);
      if (answer.kind === 'status') {
        const fields = ['Cache-Status', cacheStatus(this.#parts.edgeId, answer.handling), 'Cache-Control', 'no-store'];
        return this.#sendStatus(
          response,
          answer.status,
          answer.message,
          answer.result,
          answer.status === 503 ? [...fields, 'Retry-After', '1'] : fields,
        );
      }
      try {
        return await this.#sendObject({ method, fields: request.headers }, response, answer);
      } catch (error) {
        // Evicted since it was looked up: look again, a few times.
        if (!(error instanceof BlobMissingError) || response.headersSent || attempt === LOOKUP_ATTEMPTS) throw error;
      }
    }
  }

  async #answer(key: string, wishes: CacheDirectives): Promise<Answer> {
    const lookup = this.#lookUp(key, wishes);
    if (lookup.kind === 'absent') return notFound({ hit: true, detail: 'negative' });
    if (lookup.kind === 'hit') {
      const { manifest, ttlSeconds, revalidate } = lookup;
      if (revalidate) this.#revalidate(key);
      return { kind: 'object', manifest, handling: { hit: true, ttlSeconds }, result: 'hit' };
    }
    // RFC 9111 §5.2.1.7.
    if (wishes.has('only-if-cached')) return notCached();
    return this.#forward(key, lookup, wishes);
  }

  #lookUp(key: string, wishes: CacheDirectives): Lookup {
    const { index, blobs, absentKeys, clock, caughtUpAtMs } = this.#parts;
    return lookUp(key, index.get(key), {
      has: (sha256) => blobs.has(sha256),
      isKnownAbsent: (absent) => absentKeys.has(absent),
      isDoubtful: index.isDoubtful,
      caughtUpAtMs: caughtUpAtMs(),
      nowMs: clock.nowMs(),
      wishes,
    });
  }

  /** Confirms an object behind the back of the visitor who was served it (RFC 5861 §3). When that fails, the next one finds it as it is. */
  #revalidate(key: string): void {
    if (this.#parts.puller.isPulling(key)) return;
    this.#parts.puller
      .pull(key, true)
      .catch((err: unknown) => this.#parts.log.debug({ key, err }, 'revalidation in the background failed'));
  }

  async #forward(key: string, { reason: fwd, fallback }: Lookup & { kind: 'forward' }, wishes: CacheDirectives): Promise<Answer> {
    const collapsed = this.#parts.puller.isPulling(key);
    try {
      const pulled = await this.#parts.puller.pull(key, fallback !== undefined);
      if (pulled.kind === 'absent') return notFound({ fwd, fwdStatus: 404, collapsed });
      const { manifest, fwdStatus, stored } = pulled;
      const result = fwdStatus === 304 ? 'revalidated' : 'miss';
      return {
        kind: 'object',
        manifest,
        handling: { fwd, fwdStatus, stored: stored && fwdStatus === 200, collapsed },
        result,
        detached: !stored,
      };
    } catch (error) {
      const detail = error instanceof SluiceError ? error.code.toLowerCase().replaceAll('_', '-') : 'internal-error';
      if (!(error instanceof SluiceError)) this.#parts.log.error({ err: error, key }, 'pull failed');
      return this.#withoutOrigin(key, error, { fwd, detail }, wishes);
    }
  }

  /** What is left when the origin could not be asked: what is held now, which may be newer than what was held when the visitor came. */
  #withoutOrigin(key: string, error: unknown, handling: CacheHandling, wishes: CacheDirectives): Answer {
    // A busy edge has not asked: then nothing that needs asking may be served.
    if (error instanceof SluiceError && error.code === 'EDGE_BUSY') return unavailable(error, handling);
    const now = this.#lookUp(key, wishes);
    const held = now.kind === 'hit' ? now.manifest : now.kind === 'forward' ? now.fallback : 'absent';
    if (held === 'absent') return notFound(handling);
    if (held !== undefined) return { kind: 'object', manifest: held, handling, result: 'stale' };
    return unavailable(error, handling);
  }

  async #sendObject(request: ReadRequest, response: ServerResponse, answer: Answer & { kind: 'object' }): Promise<void> {
    const { manifest, handling, result, detached } = answer;
    const { edgeId, metrics, budget } = this.#parts;
    const fields = [
      ...['Age', String(this.#ageSeconds(manifest.key))],
      ...['Cache-Status', cacheStatus(edgeId, handling)],
      ...['X-Sluice-Version', String(manifest.version)],
    ];
    const plan = planResponse(manifest, request, fields, randomUUID);
    // Opened before the head is sent, so that a failure can still be told.
    const reader = plan.body.length === 0 ? undefined : await this.#open(manifest, detached === true);
    metrics.requests.inc({ result });
    budget.touch(manifest.sha256, manifest.size);
    try {
      response.writeHead(plan.status, plan.fields);
      if (reader === undefined) response.end();
      else await this.#sendBody(response, reader, plan.body);
    } finally {
      await reader?.close();
    }
  }

  #open(manifest: Manifest, detached: boolean): Promise<BlobReader> {
    return detached ? this.#parts.transfers.bringDetached(manifest) : this.#parts.blobs.reader(manifest.sha256);
  }

  async #sendBody(response: ServerResponse, reader: BlobReader, body: readonly BodyPiece[]): Promise<void> {
    const { metrics } = this.#parts;
    const [first] = body;
    if (body.length === 1 && typeof first === 'object' && first.end - first.start < WHOLE_BODY_BYTES) {
      const bytes = await reader.read(first.start, first.end - first.start + 1);
      response.end(bytes);
      metrics.sentBytes.inc(bytes.byteLength);
      return;
    }
    // Ends without completing the body when the bytes cannot be read: the connection is destroyed, so nobody takes it for whole.
    await pipeline(async function* () {
      try {
        for await (const chunk of chunksOf(reader, body)) {
          metrics.sentBytes.inc(chunk.byteLength);
          yield chunk;
        }
      } catch (error) {
        metrics.brokenBodies.inc();
        throw error;
      }
    }, response);
  }

  #ageSeconds(key: string): number {
    const { index, clock, caughtUpAtMs } = this.#parts;
    const entry = index.get(key);
    return entry === undefined ? 0 : ageSeconds(entry, caughtUpAtMs(), clock.nowMs());
  }

  #sendStatus(response: ServerResponse, status: number, message: string, result: Result, fields: readonly string[]): void {
    this.#parts.metrics.requests.inc({ result });
    const body = `${status} ${message}\n`;
    response.writeHead(status, [...fields, 'Content-Type', 'text/plain; charset=utf-8', 'Content-Length', String(Buffer.byteLength(body))]);
    response.end(body);
  }
}

async function* chunksOf(reader: BlobReader, body: readonly BodyPiece[]): AsyncGenerator<Uint8Array> {
  for (const piece of body) {
    if (typeof piece === 'string') yield Buffer.from(piece, 'latin1');
    else yield* reader.chunks(piece.start, piece.end);
  }
}

function notFound(handling: CacheHandling): Answer {
  return { kind: 'status', status: 404, message: 'there is no such object', handling, result: 'absent' };
}

function notCached(): Answer {
  const message = 'this edge would have to ask the origin, and the request forbids that';
  return { kind: 'status', status: 504, message, handling: { detail: 'only-if-cached' }, result: 'unavailable' };
}

function unavailable(error: unknown, handling: CacheHandling): Answer {
  const base = { kind: 'status', handling, result: 'unavailable' } as const;
  if (error instanceof OriginAwayError)
    return { ...base, status: 504, message: 'this edge does not hold the object and cannot reach the origin' };
  if (error instanceof SluiceError && error.code === 'EDGE_BUSY') return { ...base, status: 503, message: 'this edge is busy, try again' };
  return { ...base, status: 502, message: 'the object could not be brought from the origin' };
}
