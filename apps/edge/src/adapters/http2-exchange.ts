/** A request and a response of HTTP/2 with the manners of HTTP/1.1, so that one handler answers both. */
import { constants, Http2ServerRequest, Http2ServerResponse, type Http2Session } from 'node:http2';
import { fieldsOfHttp2 } from '../domain/http2-fields.ts';

/**
 * Bytes of whole bodies that a session may owe its reader. Node counts them into the session's memory (10 MB), above which it refuses further streams, and a browser
 * asks for a hundred images at once.
 */
const OWED_MAX_BYTES = 1024 * 1024;
/** What the pieces of all streams of a session come to, about; one stream alone sends in pieces of this size. */
const PIECES_BYTES = 256 * 1024;
/** A frame's usual size (RFC 9113 §4.2). */
const PIECE_MIN_BYTES = 16 * 1024;

/** What a session has under way. */
interface Load {
  streams: number;
  owedBytes: number;
  /** When the last stream ended, on the monotonic clock; undefined when there was none. */
  endedAtMs: number | undefined;
}
const loads = new WeakMap<Http2Session, Load>();

function loadOf(session: Http2Session | undefined): Load {
  const load = (session && loads.get(session)) ?? { streams: 0, owedBytes: 0, endedAtMs: undefined };
  if (session) loads.set(session, load);
  return load;
}

/** Streams that are open in a session, and when the last one ended. */
export function activityOf(session: Http2Session): Readonly<Pick<Load, 'streams' | 'endedAtMs'>> {
  return loadOf(session);
}

type RequestParts = ConstructorParameters<typeof Http2ServerRequest>;

export class VisitorHttp2Request extends Http2ServerRequest {
  constructor(stream: RequestParts[0], _headers: RequestParts[1], options: RequestParts[2], rawHeaders: readonly string[]) {
    super(stream, fieldsOfHttp2(rawHeaders), options, rawHeaders);
  }
}

export class VisitorHttp2Response extends Http2ServerResponse<VisitorHttp2Request> {
  /** Whether the visitor has gone, or was cut off. */
  declare readonly destroyed: boolean;
  readonly #load: Load;

  constructor(stream: ConstructorParameters<typeof Http2ServerResponse>[0]) {
    super(stream);
    this.#load = loadOf(stream.session);
    // Taken back before it was seen: it ends no second time.
    if (stream.destroyed) return;
    this.#load.streams += 1;
    stream.once('close', () => {
      this.#load.streams -= 1;
      this.#load.endedAtMs = performance.now();
    });
  }

  /** Cuts the body off so that nobody takes a part of it for the whole: NO_ERROR, as Node would send, can be read as "that was all" (RFC 9113 §8.1). */
  override destroy(): this {
    this.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    return this;
  }

  /** Whether a whole body of so many bytes may be handed over at once. If so, it counts until the visitor has it. */
  takes(bytes: number): boolean {
    if (this.destroyed) return true;
    if (this.#load.owedBytes + bytes > OWED_MAX_BYTES) return false;
    this.#load.owedBytes += bytes;
    this.stream.once('close', () => {
      this.#load.owedBytes -= bytes;
    });
    return true;
  }

  /** Bytes to send at a time. */
  get pieceBytes(): number {
    return Math.max(PIECE_MIN_BYTES, Math.floor(PIECES_BYTES / this.#load.streams));
  }
}
// Node's own does not know, though its type says so; and a type that has a property can be given no accessor.
Object.defineProperty(VisitorHttp2Response.prototype, 'destroyed', {
  get(this: VisitorHttp2Response) {
    return this.stream.destroyed || this.stream.closed;
  },
});
