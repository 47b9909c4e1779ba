/** GET and HEAD for visitors: from the host name and the path to an object, and its response onto the wire. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BlobMissingError, BlobReader, type BlobStore, sendRange } from '@sluice/blobs';
import { keyProblem, type Manifest, SluiceError } from '@sluice/contracts';
import { type CacheDirectives, fieldOf, parseCacheControl } from '@sluice/http-semantics';
import type { Clock } from '@sluice/runtime';
import { type Admission, checkSignedUrl } from '@sluice/signed-url';
import { type CacheHandling, cacheStatus } from '../domain/cache-status.ts';
import { ageSeconds } from '../domain/freshness.ts';
import { hostProblem, parseTarget, type Target } from '../domain/request-target.ts';
import { type BodyPiece, cachingFields, planErrorDocument, planResponse, type ReadRequest, type ResponsePlan } from '../domain/response.ts';
import { type CorsAnswer, corsAnswer, isPreflight, preflightAnswer } from '../domain/sites/cors.ts';
import { directoryKeyOf, documentsFor, keyOfPath, locationOfPath, routeHost, type Site, type Sites } from '../domain/sites/site.ts';
import type { EdgeMetrics, RequestResult } from '../metrics.ts';
import { type Answer, type Answers, notFound, type StatusAnswer, unavailable } from '../services/answers.ts';
import type { DiskBudget } from '../services/disk-budget.ts';
import { MEMORY_OBJECT_MAX_BYTES, type MemoryTier } from '../services/memory-tier.ts';
import type { Transfers } from '../services/transfers.ts';
import { noteAnswer, noteBody, noteSite } from './access-log.ts';
import type { CatalogIndex } from './catalog-index.ts';

const NO_WISHES: CacheDirectives = new Map();
/** RFC 9110 §10.2.1: what a target of this server can be asked. */
const ALLOW = ['Allow', 'GET, HEAD, OPTIONS'];
/** Why a visitor gets nothing of a site whose content is private. */
const REFUSALS: Readonly<Record<Exclude<Admission, 'granted'>, string>> = {
  unsigned: 'this content is private; it is read with a signed link',
  expired: 'this link has expired',
  refused: 'this link is not valid here',
};
/** How often a request is looked up again when its bytes were evicted between look-up and reading. */
const LOOKUP_ATTEMPTS = 3;

export interface VisitorParts {
  readonly edgeId: string;
  readonly index: CatalogIndex;
  readonly blobs: BlobStore;
  readonly memory: MemoryTier;
  readonly budget: DiskBudget;
  readonly answers: Answers;
  readonly transfers: Transfers;
  readonly clock: Clock;
  readonly metrics: EdgeMetrics;
  /** The sites as they are configured now. */
  readonly sites: () => Sites;
  /** When catch-up last vouched for all placed entries, milliseconds since the epoch. */
  readonly caughtUpAtMs: () => number | undefined;
}

export class VisitorHandler {
  readonly #parts: VisitorParts;

  constructor(parts: VisitorParts) {
    this.#parts = parts;
  }

  /** Undefined when the answer is out already, else a promise of that. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void> | undefined {
    const { method, headers: fields, url = '/' } = request;
    if (method === 'OPTIONS' && url === '*') return this.#tellAllowed(bare(response));
    const problem = request.httpVersionMajor < 1 ? 'HTTP/0.9 is not spoken here' : hostProblem(request.rawHeaders);
    if (problem !== undefined) return this.#refuse(bare(response), 400, problem);
    const target = parseTarget(url);
    const route = routeHost(this.#parts.sites(), (target.kind === 'path' ? target.authority : undefined) ?? fields.host);
    if (route.kind === 'unknown') return this.#refuse(bare(response), 404, 'no site has this host name');
    const site = route.kind === 'site' ? route.site : undefined;
    if (site !== undefined) noteSite(response, site.name);
    const visit = visitOf(response, site, corsAnswer(site?.cors, fields));
    if (target.kind === 'invalid') return this.#refuse(visit, 400, target.problem);
    if (method === 'OPTIONS') {
      const isAsked = site?.cors !== undefined && isPreflight(method, fields);
      return this.#tellAllowed(isAsked ? visitOf(response, site, preflightAnswer(site.cors, fields)) : visit);
    }
    if (method !== 'GET' && method !== 'HEAD') {
      return this.#refuse(visit, 405, 'use GET or HEAD: content is uploaded at the origin', ALLOW);
    }
    if (site?.signingKeys !== undefined) {
      const admission = checkSignedUrl(site.name, `/${target.path}`, target.query, site.signingKeys, this.#parts.clock.nowMs() / 1000);
      if (admission !== 'granted') return this.#refuse(visit, 403, REFUSALS[admission], ['Cache-Control', 'no-store']);
    }
    return this.#read({ ...visit, request: { method, fields } }, target, site);
  }

  #read(visit: Reading, target: Target & { kind: 'path' }, site: Site | undefined): Promise<void> | undefined {
    const { path } = target;
    const key = site === undefined ? path : keyOfPath(site, path);
    const problem = keyProblem(key);
    if (problem !== undefined && (site === undefined || path !== '')) return this.#refuse(visit, 400, `the path ${problem}`);
    const cacheControl = fieldOf(visit.request.fields, 'cache-control');
    const wishes = cacheControl === undefined ? NO_WISHES : parseCacheControl(cacheControl);
    const answer = problem === undefined ? this.#parts.answers.of(key, wishes) : notFound({ detail: 'no-index' });
    if (!(answer instanceof Promise) && answer.kind === 'object' && this.#sendFromMemory(visit, answer, site)) return undefined;
    return this.#answer(visit, target, site, key, answer, wishes);
  }

  /** Sends what needs no waiting: no bytes at all, or one piece of bytes that are in memory. False: nothing was sent. */
  #sendFromMemory(visit: Reading, answer: Answer & { kind: 'object' }, site: Site | undefined): boolean {
    const { manifest, result } = answer;
    const { memory, budget } = this.#parts;
    if (site !== undefined && manifest.redirectLocation !== undefined) return false;
    const bytes = memory.get(manifest.sha256);
    const plan = this.#plan(visit, answer, 200);
    const [piece, another] = plan.body;
    if (piece !== undefined && (bytes === undefined || typeof piece === 'string' || another !== undefined)) return false;
    this.#count(visit, result, manifest.version);
    budget.touch(manifest.sha256, manifest.size);
    visit.response.writeHead(plan.status, fieldsOf(visit, plan.fields));
    if (piece === undefined || bytes === undefined) visit.response.end();
    else this.#endWith(visit.response, bytes.subarray(piece.start, piece.end + 1));
    return true;
  }

  async #answer(
    visit: Reading,
    target: Target & { kind: 'path' },
    site: Site | undefined,
    key: string,
    awaited: Answer | Promise<Answer>,
    wishes: CacheDirectives,
  ): Promise<void> {
    const answer = await awaited;
    if (answer.kind === 'object') {
      const { redirectLocation } = answer.manifest;
      if (site === undefined || redirectLocation === undefined) return this.#send(visit, key, answer, wishes, 200);
      const age = ['Age', String(this.#ageSeconds(key))];
      return this.#redirect(visit, 301, redirectLocation, answer.handling, [...cachingFields(answer.manifest), ...age]);
    }
    // Also when the origin cannot be asked whether there is such an object: what the edge knows of the site is better than nothing.
    const mayBeAbsent = answer.status === 404 || answer.status === 504;
    if (!mayBeAbsent || site === undefined || wishes.has('only-if-cached')) return this.#sendAnswer(visit, answer);
    await this.#substitute(visit, target, site, answer, wishes);
  }

  /** What a site shows where it has no object. */
  async #substitute(
    visit: Reading,
    { path, query }: { readonly path: string; readonly query: string },
    site: Site,
    absent: StatusAnswer,
    wishes: CacheDirectives,
  ): Promise<void> {
    const { answers } = this.#parts;
    const directory = directoryKeyOf(site, path);
    if (directory !== undefined && (await answers.of(directory, wishes)).kind === 'object') {
      return this.#redirect(visit, 302, `${locationOfPath(`${path}/`)}${query}`, absent.handling, ['Cache-Control', 'no-store']);
    }
    // Which document it is depends on what the visitor accepts.
    const negotiated = site.singlePage === undefined ? visit : { ...visit, vary: [...visit.vary, 'Accept'] };
    for (const { key, status } of documentsFor(site, path, fieldOf(visit.request.fields, 'accept'))) {
      // That there is nothing can only be said by the origin.
      if (status === 404 && absent.status !== 404) continue;
      const document = await answers.of(key, wishes);
      if (document.kind === 'object') return this.#send(negotiated, key, document, wishes, status);
    }
    this.#sendAnswer(negotiated, absent);
  }

  #redirect(visit: Visit, status: 301 | 302, location: string, handling: CacheHandling, caching: readonly string[]): void {
    this.#count(visit, handling.hit === true ? 'hit' : 'miss');
    const fields = ['Location', location, ...caching, 'Cache-Status', cacheStatus(this.#parts.edgeId, handling), 'Content-Length', '0'];
    visit.response.writeHead(status, fieldsOf(visit, fields)).end();
  }

  /** Sends an object; looks it up again when its bytes were evicted since it was looked up, a few times. */
  async #send(visit: Reading, key: string, found: Answer & { kind: 'object' }, wishes: CacheDirectives, status: 200 | 404): Promise<void> {
    let answer: Answer = found;
    for (let attempt = 1; ; attempt++) {
      if (answer.kind === 'status') return this.#sendAnswer(visit, answer);
      try {
        return await this.#sendObject(visit, answer, status);
      } catch (error) {
        if (visit.response.headersSent || !(error instanceof SluiceError)) throw error;
        const goneMeanwhile = error instanceof BlobMissingError && attempt < LOOKUP_ATTEMPTS;
        if (!goneMeanwhile) return this.#sendAnswer(visit, unavailable(error, answer.handling));
      }
      answer = await this.#parts.answers.of(key, wishes);
    }
  }

  #sendAnswer(visit: Visit, { status, message, handling, result }: StatusAnswer): void {
    const fields = ['Cache-Status', cacheStatus(this.#parts.edgeId, handling), 'Cache-Control', 'no-store'];
    this.#sendStatus(visit, status, message, result, status === 503 ? [...fields, 'Retry-After', '1'] : fields);
  }

  #refuse(visit: Visit, status: 400 | 403 | 404 | 405, message: string, fields: readonly string[] = []): undefined {
    this.#sendStatus(visit, status, message, 'invalid', fields);
  }

  #tellAllowed(visit: Visit): undefined {
    visit.response.writeHead(204, fieldsOf(visit, ALLOW)).end();
  }

  #plan({ request }: Reading, { manifest, handling }: Answer & { kind: 'object' }, status: 200 | 404): ResponsePlan {
    const fields = [
      ...['Age', String(this.#ageSeconds(manifest.key))],
      ...['Cache-Status', cacheStatus(this.#parts.edgeId, handling)],
      ...['X-Sluice-Version', String(manifest.version)],
    ];
    return status === 200 ? planResponse(manifest, request, fields, randomUUID) : planErrorDocument(manifest, request.method, fields);
  }

  async #sendObject(visit: Reading, answer: Answer & { kind: 'object' }, status: 200 | 404): Promise<void> {
    const { manifest, result, detached } = answer;
    const plan = this.#plan(visit, answer, status);
    // Opened before the head is sent, so that a failure can still be told.
    const reader = plan.body.length === 0 ? undefined : await this.#open(manifest, detached === true);
    this.#count(visit, result, manifest.version);
    this.#parts.budget.touch(manifest.sha256, manifest.size);
    try {
      visit.response.writeHead(plan.status, fieldsOf(visit, plan.fields));
      if (reader === undefined) visit.response.end();
      else await this.#sendBody(visit.response, reader, plan.body);
    } finally {
      await reader?.close();
    }
  }

  async #open(manifest: Manifest, detached: boolean): Promise<BlobReader> {
    const { transfers, memory, blobs } = this.#parts;
    if (detached) return transfers.bringDetached(manifest);
    if (!memory.takes(manifest.size)) return blobs.reader(manifest.sha256);
    const bytes = memory.get(manifest.sha256) ?? (await memory.load(manifest.sha256));
    return new BlobReader({ sha256: manifest.sha256, size: manifest.size }, bytes, undefined);
  }

  async #sendBody(response: ServerResponse, reader: BlobReader, body: readonly BodyPiece[]): Promise<void> {
    const [first] = body;
    if (body.length === 1 && typeof first === 'object' && first.end - first.start < MEMORY_OBJECT_MAX_BYTES) {
      return this.#endWith(response, await reader.read(first.start, first.end - first.start + 1));
    }
    try {
      for (const piece of body) {
        if (typeof piece === 'string') {
          response.write(piece, 'latin1');
          noteBody(response, piece.length, false);
        } else await sendRange(reader, piece, response, (bytes) => this.#countBody(response, bytes, false));
      }
      response.end();
    } catch (error) {
      // Whoever gets a part of the body must not take it for the whole: the connection is cut.
      const visitorLeft = response.destroyed;
      response.destroy();
      if (visitorLeft) return;
      this.#parts.metrics.brokenBodies.inc();
      throw error;
    }
  }

  #endWith(response: ServerResponse, bytes: Uint8Array): void {
    response.end(bytes);
    this.#countBody(response, bytes.byteLength, true);
  }

  #count({ response }: Visit, result: RequestResult, version?: number): void {
    this.#parts.metrics.countRequest(result);
    noteAnswer(response, result, version);
  }

  #countBody(response: ServerResponse, bytes: number, last: boolean): void {
    this.#parts.metrics.sentBytes.inc(bytes);
    noteBody(response, bytes, last);
  }

  #ageSeconds(key: string): number {
    const { index, clock, caughtUpAtMs } = this.#parts;
    const entry = index.get(key);
    return entry === undefined ? 0 : ageSeconds(entry, caughtUpAtMs(), clock.nowMs());
  }

  #sendStatus(visit: Visit, status: number, message: string, result: RequestResult, fields: readonly string[]): void {
    this.#count(visit, result);
    const body = `${status} ${message}\n`;
    const bytes = Buffer.byteLength(body);
    const about = ['Content-Type', 'text/plain; charset=utf-8', 'Content-Length', String(bytes)];
    visit.response.writeHead(status, fieldsOf(visit, [...fields, ...about]));
    visit.response.end(body);
    noteBody(visit.response, bytes, true);
  }
}

/** One request on its way to an answer. */
interface Visit {
  readonly response: ServerResponse;
  /** What the site adds to every answer, unless the answer has such a field of its own. */
  readonly siteFields: readonly string[];
  /** What lets pages of other origins read it. */
  readonly corsFields: readonly string[];
  /** The request fields that the answer depends on (RFC 9110 §12.5.5). */
  readonly vary: readonly string[];
}
interface Reading extends Visit {
  readonly request: ReadRequest;
}

function bare(response: ServerResponse): Visit {
  return { response, siteFields: [], corsFields: [], vary: [] };
}

function visitOf(response: ServerResponse, site: Site | undefined, { fields, vary }: CorsAnswer): Visit {
  return site === undefined ? bare(response) : { response, siteFields: site.headers, corsFields: fields, vary };
}

/** All fields of an answer. */
function fieldsOf({ siteFields, corsFields, vary }: Visit, own: readonly string[]): string[] {
  if (siteFields.length === 0 && corsFields.length === 0 && vary.length === 0) return [...own];
  const taken = new Set(own.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()));
  const added = siteFields.filter((_, at) => !taken.has((siteFields[at - (at % 2)] ?? '').toLowerCase()));
  return [...own, ...added, ...corsFields, ...(vary.length === 0 ? [] : ['Vary', vary.join(', ')])];
}
