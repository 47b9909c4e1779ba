/** Carries out what a request comes to: look-up, response, bytes onto the wire. */
import { randomUUID } from 'node:crypto';
import { BlobDamagedError, BlobMissingError, BlobReader, type BlobView, type ByteSource, sendRange } from '@sluice/blobs';
import { keyProblem, type Manifest, SluiceError } from '@sluice/contracts';
import { type ByteRange, type CacheDirectives, type Fields, fieldOf, parseCacheControl } from '@sluice/http-semantics';
import type { Clock } from '@sluice/runtime';
import { type Admission, ALLOW, admit, fieldsIn, type Manner, PLAIN_MANNER, type VisitorAsks } from '../domain/admission.ts';
import { type CacheHandling, cacheStatus } from '../domain/cache-status.ts';
import { framingProblem, hostProblem, type Target } from '../domain/request-target.ts';
import { type BodyPiece, cachingFields, planErrorDocument, planResponse, type ReadRequest } from '../domain/response.ts';
import { directoryKeyOf, documentsFor, keyOfPath, locationOfPath, type Site, type Sites } from '../domain/sites/site.ts';
import type { RequestResult } from '../metrics.ts';
import { type Answer, type Answers, notFound, type StatusAnswer, unavailable } from '../services/answers.ts';
import { MEMORY_OBJECT_MAX_BYTES, type MemoryTier } from '../services/memory-tier.ts';
import type { ReadableFills } from '../services/readable-fills.ts';
import { noteAnswer, noteBody, noteSite } from './access-log.ts';
import { endsConnection, type Listener, pieceBytesFor, takesWhole, type VisitorRequest, type VisitorResponse } from './exchange.ts';
import type { Hit, Hits } from './hits.ts';
import type { ServingCounters } from './serving-counters.ts';

const NO_WISHES: CacheDirectives = new Map();
/** How often a request is looked up when its bytes are gone between look-up and reading. */
const LOOKUP_ATTEMPTS = 3;

export interface VisitorParts {
  readonly edgeId: string;
  readonly blobs: BlobView;
  readonly memory: MemoryTier;
  readonly fills: ReadableFills;
  readonly answers: Answers;
  readonly hits: Hits;
  readonly clock: Clock;
  readonly counters: ServingCounters;
  /** Bytes that this edge does not keep. */
  readonly bringDetached: (manifest: Manifest, ranges: readonly ByteRange[], withdrawn: AbortSignal) => Promise<ByteSource>;
  /** The scheme by which the visitor came, as a trusted proxy tells it. */
  readonly forwardedScheme: (request: PlainVisitorRequest) => 'http' | 'https' | undefined;
  /** The sites as they are configured now. */
  readonly sites: () => Sites;
  /** Resolves when the replica knows of each blob that was found missing or damaged so far. */
  readonly filesLookedFor: () => Promise<unknown>;
}

/** What is needed of a request that has no content. */
export type PlainVisitorRequest = Pick<VisitorRequest, 'method' | 'url' | 'socket'> & { readonly headers: Fields };

/** An answer that needs no waiting. */
export interface ReadyAnswer extends Hit {
  readonly manner: Manner;
}

export class VisitorHandler {
  readonly #parts: VisitorParts;
  readonly #nowSeconds: () => number;

  constructor(parts: VisitorParts) {
    this.#parts = parts;
    this.#nowSeconds = () => parts.clock.nowMs() / 1000;
  }

  /** The answer to a request when nothing has to be waited for, counted as given. Undefined: ask {@link handle}, nothing has happened yet. */
  readyAnswer(request: PlainVisitorRequest, listener: Listener): ReadyAnswer | undefined {
    const asks = this.#asks(request, listener);
    const admission = admit(asks, this.#parts.sites(), this.#nowSeconds);
    if (admission.kind !== 'read') return undefined;
    const { request: read, site, target, manner } = admission;
    const answer = this.#parts.answers.hitIfHeld(keyOf(site, target), wishesOf(read));
    const hit = answer === undefined ? undefined : this.#parts.hits.of(read, answer, site);
    if (answer === undefined || hit === undefined) return undefined;
    this.#parts.counters.add(answer.result);
    if (hit.bytes !== undefined) this.#parts.counters.add('sentBytes', hit.bytes.byteLength);
    return { ...hit, manner };
  }

  /** Undefined when the answer is out already, else a promise of that. */
  handle(request: VisitorRequest, response: VisitorResponse, listener: Listener): Promise<void> | undefined {
    const { method, headers: fields, url = '/' } = request;
    const bare: Visit = { response, manner: PLAIN_MANNER };
    if (method === 'OPTIONS' && url === '*') return this.#tellAllowed(bare);
    const problem = request.httpVersionMajor < 1 ? 'HTTP/0.9 is not spoken here' : hostProblem(request.rawHeaders);
    if (problem !== undefined) return this.#refuse(bare, 400, problem);
    const unframed = framingProblem(fields['transfer-encoding']);
    if (unframed !== undefined) {
      endsConnection(response);
      return this.#refuse(bare, 400, unframed);
    }
    const admission = admit(this.#asks(request, listener), this.#parts.sites(), this.#nowSeconds);
    if (admission.site !== undefined) noteSite(response, admission.site.name);
    const visit: Visit = { response, manner: admission.manner };
    switch (admission.kind) {
      case 'refused':
        return this.#refuse(visit, admission.status, admission.message, admission.fields);
      case 'allowed':
        return this.#tellAllowed(visit);
      case 'to-https':
        this.#count(visit, 'redirected');
        response.writeHead(301, fieldsIn(visit.manner, [], ['Location', admission.location, 'Content-Length', '0'])).end();
        return undefined;
      case 'read':
        return this.#read({ ...visit, request: admission.request }, admission);
    }
  }

  #asks(request: PlainVisitorRequest, { isSecure, tlsPort }: Listener): VisitorAsks {
    const { method, url = '/', headers: fields } = request;
    return { method, url, fields, isSecure, tlsPort, forwardedScheme: () => this.#parts.forwardedScheme(request) };
  }

  #read(visit: Reading, { target, site }: Admission & { kind: 'read' }): Promise<void> | undefined {
    const key = keyOf(site, target);
    const wishes = wishesOf(visit.request);
    const held = this.#parts.answers.hit(key, wishes);
    if (held !== undefined) {
      if (this.#sendFromMemory(visit, held, site)) return undefined;
      return this.#answer(visit, target, site, key, held, wishes);
    }
    // What is held has a key, so it is checked only now.
    const problem = keyProblem(key);
    if (problem !== undefined && (site === undefined || target.path !== '')) return this.#refuse(visit, 400, `the path ${problem}`);
    const answer = problem === undefined ? this.#parts.answers.of(key, wishes) : notFound({ detail: 'no-index' });
    return this.#answer(visit, target, site, key, answer, wishes);
  }

  /** False: nothing was sent. */
  #sendFromMemory(visit: Reading, answer: Answer & { kind: 'object' }, site: Site | undefined): boolean {
    const { response, manner, request } = visit;
    const hit = this.#parts.hits.of(request, answer, site);
    if (hit === undefined) return false;
    const { plan, bytes } = hit;
    if (bytes !== undefined && !takesWhole(response, bytes.byteLength)) return false;
    this.#count(visit, answer.result, answer.manifest.version);
    response.writeHead(plan.status, fieldsIn(manner, plan.constant, plan.fields));
    if (bytes === undefined) response.end();
    else this.#endWith(response, bytes);
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
      const age = ['Age', String(answer.ageSeconds)];
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
    const vary = site.singlePage === undefined ? visit.manner.vary : [...visit.manner.vary, 'Accept'];
    const negotiated = { ...visit, manner: { ...visit.manner, vary } };
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
    visit.response.writeHead(status, fieldsIn(visit.manner, [], fields)).end();
  }

  /** Sends an object; looks it up again when its bytes have gone since it was looked up, a few times. */
  async #send(visit: Reading, key: string, found: Answer & { kind: 'object' }, wishes: CacheDirectives, status: 200 | 404): Promise<void> {
    let answer: Answer = found;
    for (let attempt = 1; ; attempt++) {
      if (answer.kind === 'status') return this.#sendAnswer(visit, answer);
      try {
        return await this.#sendObject(visit, answer, status);
      } catch (error) {
        if (visit.response.headersSent || visit.response.destroyed || !(error instanceof SluiceError)) throw error;
        const isGone = error instanceof BlobMissingError || error instanceof BlobDamagedError;
        const goneMeanwhile = isGone && attempt < LOOKUP_ATTEMPTS;
        if (!goneMeanwhile) return this.#sendAnswer(visit, unavailable(error, answer.handling));
      }
      await this.#parts.filesLookedFor();
      answer = await this.#parts.answers.of(key, wishes);
    }
  }

  async #sendObject(visit: Reading, answer: Answer & { kind: 'object' }, status: 200 | 404): Promise<void> {
    const { response, manner, request } = visit;
    const { result, detached } = answer;
    const { hits } = this.#parts;
    const manifest = detached === true ? answer.manifest : hits.negotiated(request, answer.manifest);
    const fields = hits.ofThisEdge(answer);
    const plan = status === 200 ? planResponse(manifest, request, fields, randomUUID) : planErrorDocument(manifest, request.method, fields);
    // Opened before the head is sent, so that a failure can still be told.
    const source = plan.body.length === 0 ? undefined : await this.#open(response, manifest, rangesOf(plan.body), detached === true);
    this.#count(visit, result, manifest.version);
    hits.countUse(answer.manifest, manifest);
    try {
      response.writeHead(plan.status, fieldsIn(manner, plan.constant, plan.fields));
      if (source === undefined) response.end();
      else await this.#sendBody(response, source, plan.body);
    } finally {
      await source?.close();
    }
  }

  async #open(response: VisitorResponse, manifest: Manifest, ranges: readonly ByteRange[], detached: boolean): Promise<ByteSource> {
    const { bringDetached, memory, blobs, fills } = this.#parts;
    if (detached) return bringDetached(manifest, ranges, closing(response));
    const { sha256, size } = manifest;
    const held = memory.get(sha256);
    // What is coming is not on the disk yet, whatever its size; what is in memory may not be there any more.
    const coming = held === undefined ? await fills.open(sha256, ranges) : undefined;
    if (coming !== undefined) return coming;
    if (held === undefined && !memory.takes(size)) return probed(await blobs.reader(sha256), ranges);
    return new BlobReader({ sha256, size }, held ?? (await memory.load(sha256)), undefined);
  }

  async #sendBody(response: VisitorResponse, source: ByteSource, body: readonly BodyPiece[]): Promise<void> {
    const [first] = body;
    try {
      if (body.length === 1 && typeof first === 'object') {
        const bytes = first.end - first.start + 1;
        if (bytes <= MEMORY_OBJECT_MAX_BYTES && takesWhole(response, bytes)) {
          return this.#endWith(response, await source.read(first.start, bytes));
        }
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

  #sendAnswer(visit: Visit, { status, message, handling, result }: StatusAnswer): void {
    const fields = ['Cache-Status', cacheStatus(this.#parts.edgeId, handling), 'Cache-Control', 'no-store'];
    this.#sendStatus(visit, status, message, result, status === 503 ? [...fields, 'Retry-After', '1'] : fields);
  }

  #refuse(visit: Visit, status: 400 | 403 | 404 | 405, message: string, fields: readonly string[] = []): undefined {
    this.#sendStatus(visit, status, message, 'invalid', fields);
  }

  #tellAllowed({ response, manner }: Visit): undefined {
    response.writeHead(204, fieldsIn(manner, [], ALLOW)).end();
  }

  #sendStatus(visit: Visit, status: number, message: string, result: RequestResult, fields: readonly string[]): void {
    this.#count(visit, result);
    const body = `${status} ${message}\n`;
    const bytes = Buffer.byteLength(body);
    const about = ['Content-Type', 'text/plain; charset=utf-8', 'Content-Length', String(bytes)];
    visit.response.writeHead(status, fieldsIn(visit.manner, fields, about));
    visit.response.end(body);
    noteBody(visit.response, bytes, true);
  }

  #count({ response }: Visit, result: RequestResult, version?: number): void {
    this.#parts.counters.add(result);
    noteAnswer(response, result, version);
  }

  #countBody(response: VisitorResponse, bytes: number, last: boolean): void {
    this.#parts.counters.add('sentBytes', bytes);
    noteBody(response, bytes, last);
  }
}

/** One request on its way to an answer. */
interface Visit {
  readonly response: VisitorResponse;
  readonly manner: Manner;
}
interface Reading extends Visit {
  readonly request: ReadRequest;
}

/** Aborted when nobody waits for a response any more. */
function closing(response: VisitorResponse): AbortSignal {
  if (response.destroyed) return AbortSignal.abort();
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  return closed.signal;
}

/** A reader of which the first bytes that are wanted are right. @throws {BlobDamagedError} */
async function probed(reader: BlobReader, [first]: readonly ByteRange[]): Promise<BlobReader> {
  try {
    if (first !== undefined) await reader.prepare(first);
    return reader;
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/** The parts of a body that are bytes of the representation. */
function rangesOf(body: readonly BodyPiece[]): ByteRange[] {
  return body.filter((piece) => typeof piece !== 'string');
}

function keyOf(site: Site | undefined, { path }: Target & { kind: 'path' }): string {
  return site === undefined ? path : keyOfPath(site, path);
}

function wishesOf({ fields }: ReadRequest): CacheDirectives {
  const cacheControl = fieldOf(fields, 'cache-control');
  return cacheControl === undefined ? NO_WISHES : parseCacheControl(cacheControl);
}
