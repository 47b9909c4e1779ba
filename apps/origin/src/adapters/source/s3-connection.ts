import type { Readable } from 'node:stream';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Fields } from '@sluice/http-semantics';

/** How long a connection may take. */
const CONNECT_TIMEOUT_MS = 5_000;
/** How long an answer may take to begin, and how long its document may pause. */
const ANSWER_TIMEOUT_MS = 20_000;
/** Times that a request is sent in all; the client waits between, longer where the service says that it is busy. */
const ATTEMPTS_MAX = 3;
/** Bodies being read at once. More wait for {@link CONNECT_TIMEOUT_MS}, and are refused then. */
const BODY_SOCKETS_MAX = 32;
/** Everything else. Apart from the bodies: a reader that asks for more while it reads must not wait for itself. */
const DOCUMENT_SOCKETS_MAX = 32;

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface S3ConnectionOptions {
  /** `https://s3.example.com`; absent: Amazon's own of the region. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  /** Absent: those of the environment, by the rules of Amazon's tools. */
  readonly credentials?: S3Credentials | undefined;
  /** Whether the bucket is in the path of a URL rather than in its host name. */
  readonly pathStyle: boolean;
  /** For tests; default {@link ANSWER_TIMEOUT_MS}. */
  readonly answerTimeoutMs?: number | undefined;
}

/** Amazon's client, bounded in connections, time and attempts. */
export class S3Connection {
  /** For answers that have a body to be read. */
  readonly bodies: S3Client;
  /** For all others. */
  readonly documents: S3Client;
  /** The client hands over only the headers that it knows by name. */
  readonly #headers = new WeakMap<object, Fields>();

  constructor(options: S3ConnectionOptions) {
    const { answerTimeoutMs = ANSWER_TIMEOUT_MS } = options;
    // A document that pauses may be cut off. Whether a body pauses, or its reader does, only the one who reads it knows.
    this.documents = new S3Client(clientConfig(options, DOCUMENT_SOCKETS_MAX, answerTimeoutMs));
    this.bodies = new S3Client(clientConfig(options, BODY_SOCKETS_MAX, 0));
    this.bodies.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        boundRefusal(result.response as RawResponse, answerTimeoutMs);
        return result;
      },
      { step: 'deserialize', priority: 'low', name: 'boundRefusal' },
    );
    for (const { middlewareStack } of [this.bodies, this.documents]) {
      middlewareStack.add(
        (next) => async (args) => {
          const result = await next(args);
          if (result.output !== undefined)
            this.#headers.set(result.output, (result.response as { headers?: Fields } | undefined)?.headers ?? {});
          return result;
        },
        { step: 'deserialize', priority: 'high', name: 'headersOfAnswer' },
      );
    }
  }

  /** The header fields of an answer that one of the clients gave. */
  headersOf(output: object): Fields {
    return this.#headers.get(output) ?? {};
  }

  /** Ends what is under way. */
  close(): void {
    this.bodies.destroy();
    this.documents.destroy();
  }
}

interface RawResponse {
  readonly statusCode: number;
  readonly body: Readable;
}

/** Instead of a body a refusal has a document, which the client reads, and would wait for without an end. */
function boundRefusal({ statusCode, body }: RawResponse, timeoutMs: number): void {
  if (statusCode < 300) return;
  const late = Object.assign(new Error(`the answer was not complete within ${timeoutMs} ms`), { name: 'TimeoutError' });
  const timer = setTimeout(() => body.destroy(late), timeoutMs);
  body.once('close', () => clearTimeout(timer));
}

function clientConfig(options: S3ConnectionOptions, maxSockets: number, socketTimeout: number): S3ClientConfig {
  const { endpoint, region, credentials, pathStyle, answerTimeoutMs = ANSWER_TIMEOUT_MS } = options;
  const agent = { keepAlive: true, maxSockets };
  return {
    region,
    forcePathStyle: pathStyle,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials: { ...credentials } as { accessKeyId: string; secretAccessKey: string } }),
    maxAttempts: ATTEMPTS_MAX,
    retryMode: 'standard',
    // A part of an object has no checksum, and there are services that send that of the whole with it; who reads a whole asks for it.
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: answerTimeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout,
      httpAgent: agent,
      httpsAgent: agent,
    },
  };
}
