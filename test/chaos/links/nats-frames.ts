/** What a NATS client sends, cut into the frames of the protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol */

/** The server's own bound is 4 KiB by default; CONNECT carries JSON. */
export const CONTROL_LINE_MAX_BYTES = 32 * 1024;
/** The largest `max_payload` that a server can be set to. */
export const PAYLOAD_MAX_BYTES = 64 * 1024 * 1024;

export type Frame =
  /** `bytes` is the whole frame; its headers, if it has any, begin at `headersAt` and are `headersBytes` long. */
  | {
      readonly kind: 'publish';
      readonly subject: string;
      readonly bytes: Buffer;
      readonly headersAt: number;
      readonly headersBytes: number;
    }
  | { readonly kind: 'other'; readonly bytes: Buffer };

/** The bytes are not of the protocol, or beyond its bounds. */
export class FrameError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FrameError';
  }
}

/** Takes bytes as they come and gives frames as they are complete. All bytes of all frames are the bytes that came. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** With fewer bytes there is nothing to look at: a large payload is put together once. */
  #needed = 1;

  /** @throws {FrameError} after which nothing more can be read */
  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    if (this.#bytes < this.#needed) return [];
    const held = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const frames: Frame[] = [];
    let start = 0;
    for (;;) {
      const next = readFrame(held.subarray(start));
      if (typeof next === 'number') {
        this.#needed = next;
        break;
      }
      frames.push(next);
      start += next.bytes.byteLength;
    }
    const rest = held.subarray(start);
    this.#chunks = rest.byteLength === 0 ? [] : [rest];
    this.#bytes = rest.byteLength;
    return frames;
  }
}

/** The first frame, or how many bytes there have to be before it is worth another look. */
function readFrame(bytes: Buffer): Frame | number {
  const lineEnd = bytes.indexOf('\n');
  if (lineEnd < 0) {
    if (bytes.byteLength > CONTROL_LINE_MAX_BYTES) throw new FrameError(`a control line has more than ${CONTROL_LINE_MAX_BYTES} bytes`);
    return bytes.byteLength + 1;
  }
  const afterLine = lineEnd + 1;
  const [verb = '', ...fields] = bytes.toString('latin1', 0, lineEnd).trim().split(/\s+/);
  const hasHeaders = verb.toUpperCase() === 'HPUB';
  if (!hasHeaders && verb.toUpperCase() !== 'PUB') return { kind: 'other', bytes: bytes.subarray(0, afterLine) };
  const payloadBytes = lengthOf(fields.at(-1));
  const headersBytes = hasHeaders ? lengthOf(fields.at(-2)) : 0;
  const end = afterLine + payloadBytes + 2;
  if (bytes.byteLength < end) return end;
  return { kind: 'publish', subject: fields[0] as string, bytes: bytes.subarray(0, end), headersAt: afterLine, headersBytes };
}

function lengthOf(field: string | undefined): number {
  const length = /^\d+$/.test(field ?? '') ? Number(field) : Number.NaN;
  if (!(length <= PAYLOAD_MAX_BYTES)) throw new FrameError(`"${field}" is no number of bytes up to ${PAYLOAD_MAX_BYTES}`);
  return length;
}

const MESSAGE_ID = 'Nats-Msg-Id';
/** As long as the other, so that no length in the frame changes. */
const NOT_A_MESSAGE_ID = 'Nats-Msg-No';

/** A copy that JetStream does not recognise as one: without its id (https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive#message-deduplication). */
export function unrecognisedCopy({ bytes, headersAt, headersBytes }: Frame & { kind: 'publish' }): Buffer {
  const copy = Buffer.from(bytes);
  const headers = copy.toString('latin1', headersAt, headersAt + headersBytes);
  const at = headers.toLowerCase().indexOf(`\n${MESSAGE_ID.toLowerCase()}:`);
  if (at >= 0) copy.write(NOT_A_MESSAGE_ID, headersAt + at + 1, 'latin1');
  return copy;
}
