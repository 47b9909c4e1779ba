/** GET and HEAD for visitors: from the host name and the path to an object, and its response onto the wire. */
import { randomUUID } from 'node:crypto';
import { BlobMissingError, BlobReader, type BlobView, type ByteSource, INLINE_MAX_BYTES, sendRange } from '@sluice/blobs';
import { keyProblem, type Manifest, SluiceError, uploadedVersion } from '@sluice/contracts';
import { type ByteRange, type CacheDirectives, fieldOf, parseCacheControl } from '@sluice/http-semantics';
import type { Clock } from '@sluice/runtime';
import { type Admission, checkSignedUrl } from '@sluice/signed-url';
import { type CacheHandling, cacheStatus } from '../domain/cache-status.ts';
import { type Content, isNegotiated, selectRepresentation } from '../domain/content-coding.ts';
import { ageSeconds } from '../domain/freshness.ts';
import { framingProblem, hostProblem, parseTarget, type Target } from '../domain/request-target.ts';
import { type BodyPiece, cachingFields, planErrorDocument, planResponse, type ReadRequest, type ResponsePlan } from '../domain/response.ts';
import { type CorsAnswer, corsAnswer, isPreflight, preflightAnswer } from '../domain/sites/cors.ts';
import { httpsLocation, staysPlain } from '../domain/sites/https.ts';
import {
  dependsOnScheme,
  directoryKeyOf,
  documentsFor,
  keyOfPath,
  locationOfPath,
  routeHost,
  type Site,
  type Sites,
} from '../domain/sites/site.ts';
import type { RequestResult } from '../metrics.ts';
import { type Answer, type Answers, notFound, type StatusAnswer, unavailable } from '../services/answers.ts';
import { MEMORY_OBJECT_MAX_BYTES, type MemoryTier } from '../services/memory-tier.ts';
import type { ReadableFills } from '../services/readable-fills.ts';
import type { UsedBlobs } from '../services/used-blobs.ts';
import { noteAnswer, noteBody, noteSite } from './access-log.ts';
import type { CatalogView } from './catalog-view.ts';
import { endsConnection, type Listener, pieceBytesFor, takesWhole, type VisitorRequest, type VisitorResponse } from './exchange.ts';
import type { ReplicaState } from './replica-state.ts';
import type { ServingCounters } from './serving-counters.ts';

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
  readonly index: CatalogView;
  readonly blobs: BlobView;
  readonly memory: MemoryTier;
  readonly fills: ReadableFills;
  readonly used: UsedBlobs;
  readonly answers: Answers;
  readonly state: ReplicaState;
  /** Brings a variant that a visitor would have got. */
  readonly bringVariant: (variant: Content) => void;
  readonly clock: Clock;
  readonly counters: ServingCounters;
  /** Bytes that this edge does not keep. */
  readonly bringDetached: (manifest: Manifest, ranges: readonly ByteRange[]) => Promise<ByteSource>;
  /** Whether a trusted proxy says that the visitor came by HTTPS. */
  readonly cameByHttps: (request: VisitorRequest) => boolean;
  /** The sites as they are configured now. */
  readonly sites: () => Sites;
}

export class VisitorHandler {
  readonly #parts: VisitorParts;

  constructor(parts: VisitorParts) {
    this.#parts = parts;
  }

  /** Undefined when the answer is out already, else a promise of that. */
  handle(request: VisitorRequest, response: VisitorResponse, listener: Listener): Promise<void> | undefined {
    const { method, headers: fields, url = '/' } = request;
    if (method === 'OPTIONS' && url === '*') return this.#tellAllowed(bare(response));
    const problem = request.httpVersionMajor < 1 ? 'HTTP/0.9 is not spoken here' : hostProblem(request.rawHeaders);
    if (problem !== undefined) return this.#refuse(bare(response), 400, problem);
    const unframed = framingProblem(fields['transfer-encoding']);
    if (unframed !== undefined) {
      endsConnection(response);
      return this.#refuse(bare(response), 400, unframed);
    }
    const target = parseTarget(url);
    const host = (target.kind === 'path' ? target.authority : undefined) ?? fields.host;
    const route = routeHost(this.#parts.sites(), host);
    if (route.kind === 'unknown') return this.#refuse(bare(response), 404, 'no site has this host name');
    const site = route.kind === 'site' ? route.site : undefined;
    if (site !== undefined) noteSite(response, site.name);
    const isSecure = listener.isSecure || (site !== undefined && dependsOnScheme(site) && this.#parts.cameByHttps(request));
    const visit = visitOf(response, site, corsAnswer(site?.cors, fields), isSecure);
    if (target.kind === 'invalid') return this.#refuse(visit, 400, target.problem);
    if (method === 'OPTIONS') {
      const isAsked = site?.cors !== undefined && isPreflight(method, fields);
      return this.#tellAllowed(isAsked ? visitOf(response, site, preflightAnswer(site.cors, fields), isSecure) : visit);
    }
    if (method !== 'GET' && method !== 'HEAD') {
      return this.#refuse(visit, 405, 'use GET or HEAD: content is uploaded at the origin', ALLOW);
    }
    if (site?.httpsRedirect !== undefined && !isSecure && !staysPlain(target.path)) {
      return this.#toHttps(visit, httpsLocation(host, url, site.httpsRedirect.port ?? listener.tlsPort ?? 443));
    }
    if (site?.signingKeys !== undefined) {
      const admission = checkSignedUrl(site.name, `/${target.path}`, target.query, site.signingKeys, this.#parts.clock.nowMs() / 1000);
      if (admission !== 'granted') return this.#refuse(visit, 403, REFUSALS[admission], ['Cache-Control', 'no-store']);
    }
    return this.#read({ ...visit, request: { method, fields } }, target, site);
  }

  #toHttps(visit: Visit, location: string | undefined): undefined {
    if (location === undefined)
      return this.#refuse(visit, 400, 'this site is served over HTTPS, and the request names no host to send you to');
    this.#count(visit, 'redirected');
    visit.response.writeHead(301, fieldsOf(visit, ['Location', location, 'Content-Length', '0'])).end();
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
  #sendFromMemory(visit: Reading, found: Answer & { kind: 'object' }, site: Site | undefined): boolean {
    const answer = this.#negotiated(visit, found);
    const { manifest, result } = answer;
    if (site !== undefined && manifest.redirectLocation !== undefined) return false;
    const bytes = this.#inMemory(manifest);
    const plan = this.#plan(visit, answer, 200);
    const [piece, another] = plan.body;
    if (piece !== undefined && (bytes === undefined || typeof piece === 'string' || another !== undefined)) return false;
    if (typeof piece === 'object' && !takesWhole(visit.response, piece)) return false;
    this.#count(visit, result, manifest.version);
    this.#parts.used.count(manifest.sha256, manifest.size);
    visit.response.writeHead(plan.status, fieldsOf(visit, plan.fields));
    if (piece === undefined || bytes === undefined) visit.response.end();
    else this.#endWith(visit.response, bytes.subarray(piece.start, piece.end + 1));
    return true;
  }

  /** Bytes that are in memory, or come there at once. */
  #inMemory({ sha256, size }: Manifest): Uint8Array | undefined {
    const { memory } = this.#parts;
    const bytes = memory.get(sha256);
    if (bytes !== undefined || size > INLINE_MAX_BYTES || !memory.takes(size)) return bytes;
    try {
      return memory.loadNow(sha256);
    } catch (error) {
      if (error instanceof BlobMissingError) return undefined; // evicted a moment ago: what has to be awaited is looked up again
      throw error;
    }
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
      ...['X-Sluice-Version', String(uploadedVersion(manifest))],
    ];
    return status === 200 ? planResponse(manifest, request, fields, randomUUID) : planErrorDocument(manifest, request.method, fields);
  }

  /** The answer in the representation that the visitor accepts most, of those that are here. */
  #negotiated({ request }: Reading, answer: Answer & { kind: 'object' }): Answer & { kind: 'object' } {
    const { manifest, detached } = answer;
    if (!isNegotiated(manifest) || detached === true) return answer;
    const { memory, blobs, used, bringVariant } = this.#parts;
    const isHeld = (sha256: string): boolean => memory.has(sha256) || blobs.has(sha256);
    const { representation, missing } = selectRepresentation(manifest, request.fields, isHeld);
    if (missing !== undefined) bringVariant(missing);
    if (representation === manifest) return answer;
    // Without the content itself there is no hit, so it is of use to whoever gets a variant.
    used.count(manifest.sha256, manifest.size);
    return { ...answer, manifest: representation };
  }

  async #sendObject(visit: Reading, found: Answer & { kind: 'object' }, status: 200 | 404): Promise<void> {
    const answer = this.#negotiated(visit, found);
    const { manifest, result, detached } = answer;
    const plan = this.#plan(visit, answer, status);
    // Opened before the head is sent, so that a failure can still be told.
    const reader = plan.body.length === 0 ? undefined : await this.#open(manifest, rangesOf(plan.body), detached === true);
    this.#count(visit, result, manifest.version);
    this.#parts.used.count(manifest.sha256, manifest.size);
    try {
      visit.response.writeHead(plan.status, fieldsOf(visit, plan.fields));
      if (reader === undefined) visit.response.end();
      else await this.#sendBody(visit.response, reader, plan.body);
    } finally {
      await reader?.close();
    }
  }

  async #open(manifest: Manifest, ranges: readonly ByteRange[], detached: boolean): Promise<ByteSource> {
    const { bringDetached, memory, blobs, fills } = this.#parts;
    if (detached) return bringDetached(manifest, ranges);
    if (!memory.takes(manifest.size)) return (await fills.open(manifest.sha256, ranges)) ?? blobs.reader(manifest.sha256);
    const bytes = memory.get(manifest.sha256) ?? (await memory.load(manifest.sha256));
    return new BlobReader({ sha256: manifest.sha256, size: manifest.size }, bytes, undefined);
  }

  async #sendBody(response: VisitorResponse, source: ByteSource, body: readonly BodyPiece[]): Promise<void> {
    const [first] = body;
    try {
      const isOnePiece = body.length === 1 && typeof first === 'object' && first.end - first.start < MEMORY_OBJECT_MAX_BYTES;
      if (isOnePiece && takesWhole(response, first)) {
        return this.#endWith(response, await source.read(first.start, first.end - first.start + 1));
      }
      for (const piece of body) {
        if (typeof piece === 'string') {
          response.write(piece, 'latin1');
          noteBody(response, piece.length, false);
        } else await sendRange(source, piece, response, (bytes) => this.#countBody(response, bytes, false), pieceBytesFor(response));
      }
      response.end();
    } catch (error) {
      // Whoever gets a part of the body must not take it for the whole: the connection is cut.
      const visitorLeft = response.destroyed;
      response.destroy();
      if (visitorLeft) return;
      this.#parts.counters.add('brokenBodies');
      throw error;
    }
  }

  #endWith(response: VisitorResponse, bytes: Uint8Array): void {
    response.end(bytes);
    this.#countBody(response, bytes.byteLength, true);
  }

  #count({ response }: Visit, result: RequestResult, version?: number): void {
    this.#parts.counters.add(result);
    noteAnswer(response, result, version);
  }

  #countBody(response: VisitorResponse, bytes: number, last: boolean): void {
    this.#parts.counters.add('sentBytes', bytes);
    noteBody(response, bytes, last);
  }

  #ageSeconds(key: string): number {
    const { index, clock, state } = this.#parts;
    const entry = index.get(key);
    return entry === undefined ? 0 : ageSeconds(entry, state.caughtUpAtMs, clock.nowMs());
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
  readonly response: VisitorResponse;
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

/** The parts of a body that are bytes of the representation. */
function rangesOf(body: readonly BodyPiece[]): ByteRange[] {
  return body.filter((piece) => typeof piece !== 'string');
}

function bare(response: VisitorResponse): Visit {
  return { response, siteFields: [], corsFields: [], vary: [] };
}

function visitOf(response: VisitorResponse, site: Site | undefined, { fields, vary }: CorsAnswer, isSecure: boolean): Visit {
  if (site === undefined) return bare(response);
  return { response, siteFields: isSecure ? site.secureHeaders : site.headers, corsFields: fields, vary };
}

/** All fields of an answer. */
function fieldsOf({ siteFields, corsFields, vary }: Visit, own: readonly string[]): string[] {
  if (siteFields.length === 0 && corsFields.length === 0 && vary.length === 0) return [...own];
  const taken = new Set(own.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()));
  const added = siteFields.filter((_, at) => !taken.has((siteFields[at - (at % 2)] ?? '').toLowerCase()));
  return varying([...own, ...added, ...corsFields], vary);
}

/** The fields with `vary` added to what their own Vary names. */
function varying(fields: string[], vary: readonly string[]): string[] {
  if (vary.length === 0) return fields;
  const at = fields.indexOf('Vary');
  if (at === -1) return [...fields, 'Vary', vary.join(', ')];
  return fields.with(at + 1, [fields[at + 1], ...vary].join(', '));
}
