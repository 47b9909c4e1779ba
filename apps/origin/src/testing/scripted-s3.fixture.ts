import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { S3Source, type S3SourceOptions } from '../adapters/source/s3-source.ts';
import type { SourceObject } from '../services/source-port.ts';
import { sourceDefaults } from './s3-bucket.fixture.ts';

export type Script = (request: IncomingMessage, response: ServerResponse) => void;

/** A server on loopback that answers as it is told, and a source of the bucket `b` there. */
export interface ScriptedS3 extends AsyncDisposable {
  readonly endpoint: string;
  readonly source: S3Source;
  /** Requests so far, in words: `GET /b/a`. */
  readonly requests: readonly string[];
  /** Connections that are open now. */
  readonly connections: number;
}

export async function scriptedS3(script: Script, options: Partial<S3SourceOptions> = {}): Promise<ScriptedS3> {
  const requests: string[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url?.split('?')[0]}`);
    script(request, response);
  });
  server.on('connection', (socket) => {
    connections += 1;
    socket.on('close', () => {
      connections -= 1;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: 'KEY', secretAccessKey: 'the-secret' };
  const source = new S3Source({ ...sourceDefaults(), endpoint, region: 'us-east-1', bucket: 'b', credentials, ...options });
  return {
    endpoint,
    source,
    requests,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      await source.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const MODIFIED = new Date('2026-01-02T03:04:05.678Z');
export const ETAG = '"5d41402abc4b2a76b9719d911017c592"';

/** The object `b/a` in the state that {@link objectHeaders} tells of. */
export function objectOfSize(size: number): SourceObject {
  return { key: 'b/a', size, revision: `${size}.${MODIFIED.getTime()}.${ETAG}`, bytesRevision: `${size}.${ETAG}` };
}

export function objectHeaders(size: number): Record<string, string | number> {
  return { ETag: ETAG, 'Content-Length': size, 'Last-Modified': MODIFIED.toUTCString(), 'Content-Type': 'text/plain' };
}

/** A page of a listing. */
export function listingOf(keys: readonly string[], next?: string, modified = MODIFIED): string {
  const entry = (key: string): string =>
    `<Contents><Key>${key}</Key><LastModified>${modified.toISOString()}</LastModified><ETag>${ETAG}</ETag><Size>5</Size></Contents>`;
  const more = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`;
  return `<?xml version="1.0"?><ListBucketResult><Name>b</Name><EncodingType>url</EncodingType><IsTruncated>${next !== undefined}</IsTruncated>${more}${keys.map(entry).join('')}</ListBucketResult>`;
}

export function errorDocument(code: string): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>in the words of the service</Message><RequestId>1</RequestId></Error>`;
}
