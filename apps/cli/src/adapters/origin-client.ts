/** The origin's HTTP side. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { contentKey, eventId, type InvalidationMode, type Selector, version } from '@sluice/contracts';
import type { Credentials } from '@sluice/sigv4';
import { z } from 'zod';
import { keyUrlPath } from '../domain/content-path.ts';
import { CommandError, EXIT } from '../domain/failure.ts';
import { misunderstood, readJson, refusal, type Service, send, shownUrl } from './http-client.ts';
import type { SourceFile } from './source-files.ts';

const REQUEST_TIMEOUT_MS = 30_000;

const announcement = z.object({ id: eventId, version });
/** The event that a change caused: ask the controller for it by this id. */
export type Announcement = z.output<typeof announcement>;

const rolledBack = z.object({
  rolledBack: z.array(z.object({ key: contentKey, ...announcement.shape })),
  unchanged: z.number(),
  notKept: z.number(),
  next: contentKey.optional(),
});
/** A page of keys that were rolled back; how many were so already, of how many no such version is kept, and after which key it goes on. */
export type RolledBack = z.output<typeof rolledBack>;
export type RollbackRequest =
  | { readonly key: string; readonly to: number | undefined }
  | { readonly prefix: string; readonly to: number | undefined; readonly after: string | undefined };

export interface UploadOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** Called with the number of bytes that were handed to the connection. */
  readonly onBytes: (sizeBytes: number) => void;
}

export class OriginClient {
  readonly #service: Service;

  /** @param url without a slash at the end */
  constructor(url: string, credentials?: Credentials) {
    this.#service = { name: 'the origin', url, remedy: 'start one with "sluice up", or say where it is with --origin', credentials };
  }

  /**
   * Streams a file to the origin. Resolves when it is durable there.
   * @throws {CommandError} when it was refused, or when what was stored is not what was read
   */
  async put(key: string, file: SourceFile, { headers, onBytes }: UploadOptions): Promise<Announcement> {
    await using opened = await file.open();
    let md5 = createHash('md5');
    const response = await send(this.#service, {
      method: 'PUT',
      path: keyUrlPath(key),
      headers,
      body: {
        sizeBytes: opened.sizeBytes,
        open: () => {
          md5 = createHash('md5');
          return Readable.from(observed(opened.chunks(), md5, onBytes), { objectMode: false });
        },
      },
    });
    if (response.statusCode !== 200 && response.statusCode !== 201) throw await refusal(this.#service, response, `store ${key}`);
    response.resume();
    const etag = /^"([0-9a-f]{32})"$/.exec(response.headers.etag ?? '')?.[1];
    if (etag !== undefined && etag !== md5.digest('hex')) {
      throw new CommandError(EXIT.FAILED, 'BAD_DIGEST', `the origin stored other bytes for ${key} than were sent; put it again`);
    }
    return this.#announced(response);
  }

  /** @throws {CommandError} not found */
  async get(key: string, signal: AbortSignal): Promise<IncomingMessage> {
    return getFrom(this.#service, key, signal);
  }

  /** @throws {CommandError} not found, also when there was nothing to remove */
  async remove(key: string): Promise<Announcement> {
    const response = await send(this.#service, { method: 'DELETE', path: keyUrlPath(key), timeoutMs: REQUEST_TIMEOUT_MS });
    if (response.statusCode !== 204 && response.statusCode !== 200) throw await refusal(this.#service, response, `remove ${key}`);
    response.resume();
    if (response.headers['x-sluice-event-id'] === undefined) {
      throw new CommandError(EXIT.NOT_FOUND, 'NOT_FOUND', `there is no ${key} at the origin`);
    }
    return this.#announced(response);
  }

  async invalidate(selector: Selector, mode: InvalidationMode): Promise<Announcement> {
    const response = await this.#post('/-/invalidations', { ...selector, mode }, 'invalidate');
    return readJson(this.#service, response, (value) => announcement.safeParse(value));
  }

  /** @throws {CommandError} not found, when no such version of a single key is kept */
  async rollBack(request: RollbackRequest): Promise<RolledBack> {
    const response = await this.#post('/-/rollbacks', request, 'roll back');
    return readJson(this.#service, response, (value) => rolledBack.safeParse(value));
  }

  async #post(path: string, value: object, what: string): Promise<IncomingMessage> {
    const body = Buffer.from(JSON.stringify(value));
    const response = await send(this.#service, {
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json' },
      body: { sizeBytes: body.length, sha256: createHash('sha256').update(body).digest('hex'), open: () => body },
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    if (response.statusCode !== 202 && response.statusCode !== 200) throw await refusal(this.#service, response, what);
    return response;
  }

  #announced(response: IncomingMessage): Announcement {
    const { 'x-sluice-event-id': id, 'x-sluice-version': versionText } = response.headers;
    const result = announcement.safeParse({ id, version: Number(versionText) });
    if (!result.success) throw misunderstood(this.#service, result.error);
    return result.data;
  }
}

/** Reads a key as a visitor of an edge would. @throws {CommandError} not found */
export async function getFromEdge(url: string, key: string, signal: AbortSignal): Promise<IncomingMessage> {
  return getFrom({ name: 'the edge', url, remedy: '"sluice edges" lists those that are live' }, key, signal);
}

async function getFrom(service: Service, key: string, signal: AbortSignal): Promise<IncomingMessage> {
  const response = await send(service, { method: 'GET', path: keyUrlPath(key), signal });
  if (response.statusCode === 404) {
    response.resume();
    throw new CommandError(EXIT.NOT_FOUND, 'NOT_FOUND', `${service.name} at ${shownUrl(service)} has no ${key}`);
  }
  if (response.statusCode !== 200) throw await refusal(service, response, `give ${key}`);
  return response;
}

async function* observed(
  chunks: AsyncIterable<Buffer>,
  hash: ReturnType<typeof createHash>,
  onBytes: (sizeBytes: number) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    hash.update(chunk);
    onBytes(chunk.length);
    yield chunk;
  }
}
