/** One request and its answer. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ByteSource, sendRange } from '@sluice/blobs';
import type { ChunkSeed } from '@sluice/sigv4';
import type { S3Error } from '../../domain/s3-error.ts';
import { targetPath } from '../../domain/s3-resource.ts';
import { S3_NAMESPACE, XML_DECLARATION, XML_TYPE, type XmlContent, xmlElement } from './xml-document.ts';

/** How long a refused body is read on, so that the client gets to read the refusal instead of a reset connection. */
const LINGER_MS = 10_000;
const RESOURCE_MAX_CHARACTERS = 2048;

/** A long text is brought into bytes first: Node would take three bytes of memory for each character of it, anew for each answer. A short one goes out together with the header. */
const ENCODED_FROM_CHARACTERS = 16 * 1024;

export type HeaderList = readonly (readonly [name: string, value: string])[];

export interface Answer {
  readonly status: number;
  readonly headers?: HeaderList;
  readonly contentType?: string;
  readonly body?: string;
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId = randomUUID();
  /** The target as it would be in path style; {@link target} is as it was sent, and as it was signed. */
  pathStyleTarget: string;
  /** Of the request's own signature, once it is known to be right: with it signatures inside of the body are checked. */
  chunkSeed: ChunkSeed | undefined;
  /** The client holds the body back until it is told to go on (RFC 9110 §10.1.1). */
  readonly #expectsContinue: boolean;
  #continued = false;

  constructor(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) {
    this.request = request;
    this.response = response;
    this.#expectsContinue = expectsContinue;
    this.pathStyleTarget = this.target;
    response.setHeader('x-amz-request-id', this.requestId);
  }

  get target(): string {
    return this.request.url ?? '';
  }

  /** Takes fields that came in the query for fields of the header. One that is there already stays. */
  addFields(fields: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(fields)) this.request.headers[name] ??= value;
  }

  /** Asks for the body; call when nothing speaks against it. */
  accept(): void {
    if (!this.#expectsContinue || this.#continued) return;
    this.#continued = true;
    this.response.writeContinue();
  }

  /** Sends an answer whose body is in memory. Works also while the request's body is still coming: then the connection ends after it. */
  answer({ status, headers = [], contentType, body = '' }: Answer): void {
    const { request, response } = this;
    if (response.headersSent || response.destroyed) return;
    response.statusCode = status;
    for (const [name, value] of headers) response.setHeader(name, value);
    if (contentType !== undefined) response.setHeader('content-type', contentType);
    const bytes = body.length < ENCODED_FROM_CHARACTERS ? body : Buffer.from(body);
    if (status !== 204 && status !== 304) response.setHeader('content-length', Buffer.byteLength(bytes));
    const payload = request.method === 'HEAD' ? '' : bytes;
    if (!this.#bodyIsComing) return void response.end(payload);
    response.setHeader('connection', 'close');
    // A body held back never comes. One that is on its way must be taken off the wire: closing on unread bytes resets the
    // connection, and the client would lose the answer (RFC 9112 §9.6).
    if (this.#expectsContinue && !this.#continued) return void response.end(payload);
    if (payload === '') response.flushHeaders();
    else response.write(payload);
    const timer = setTimeout(() => response.end(), LINGER_MS);
    request.once('close', () => {
      clearTimeout(timer);
      response.end();
    });
    request.once('end', () => {
      clearTimeout(timer);
      response.end();
    });
    request.resume();
  }

  /** Sends bytes `start … end` of a blob as a body whose length was announced. When it cannot be read to its end the connection is cut, which tells the client so. */
  async send(reader: Pick<ByteSource, 'readInto'>, start: number, end: number, onSent: (bytes: number) => void = () => {}): Promise<void> {
    try {
      await sendRange(reader, { start, end }, this.response, onSent);
      this.response.end();
    } catch (error) {
      // A reader that goes away is no failure of this side.
      const clientLeft = this.response.destroyed;
      this.response.destroy();
      if (!clientLeft) throw error;
    }
  }

  get #bodyIsComing(): boolean {
    const { headers, complete } = this.request;
    if (complete) return false;
    return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  }

  /** Answers with an S3 error document. */
  refuse(error: S3Error, headers: HeaderList = []): void {
    this.answer({ status: error.status, headers, contentType: XML_TYPE, body: XML_DECLARATION + this.errorElement(error) });
  }

  /** An error as the root element of a document. */
  errorElement(error: S3Error): string {
    const resource = targetPath(this.target).slice(0, RESOURCE_MAX_CHARACTERS);
    const { code: Code, message: Message, details } = error;
    return xmlElement('Error', { Code, Message, ...details, Resource: resource, RequestId: this.requestId });
  }

  /** Answers 200 with a document in S3's namespace. */
  answerXml(root: string, content: XmlContent, headers: HeaderList = []): void {
    this.answer({ status: 200, headers, contentType: XML_TYPE, body: XML_DECLARATION + xmlElement(root, content, S3_NAMESPACE) });
  }

  answerJson(status: number, value: object, headers: HeaderList = []): void {
    this.answer({ status, headers, contentType: 'application/json', body: `${JSON.stringify(value)}\n` });
  }
}
