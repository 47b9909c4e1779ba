/** A request and its response as the handler sees them, of HTTP/1.1 or HTTP/2, and where they came in. */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Readable, Writable } from 'node:stream';
import { VisitorHttp2Response } from './http2-exchange.ts';
import type { PeerSocket } from './peers.ts';

export type VisitorRequest = Readable &
  Pick<IncomingMessage, 'method' | 'headers' | 'rawHeaders' | 'url' | 'httpVersionMajor'> & { readonly socket: PeerSocket };

export interface VisitorResponse extends Writable {
  readonly headersSent: boolean;
  /** `fields`: name, value, name, value …. */
  writeHead(status: number, fields: string[]): this;
}

/** Where a request came in. */
export interface Listener {
  readonly isSecure: boolean;
  /** On which this edge listens for TLS; undefined when it does not. */
  readonly tlsPort: number | undefined;
}

/** Whether a response takes a body at once. Over HTTP/1.1 the system's buffer does; over HTTP/2 what waits for a window waits in this process. */
export function takesWhole(response: VisitorResponse, bytes: number): boolean {
  return !(response instanceof VisitorHttp2Response) || response.takes(bytes);
}

/** Bytes of a body to send at a time; undefined: as usual. */
export function pieceBytesFor(response: VisitorResponse): number | undefined {
  return response instanceof VisitorHttp2Response ? response.pieceBytes : undefined;
}

/** The connection takes no further request after this one. */
export function endsConnection(response: VisitorResponse): void {
  if (response instanceof ServerResponse) response.shouldKeepAlive = false;
}
