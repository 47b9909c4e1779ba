import { type ChunkSeed, ChunkSignatures } from '@sluice/sigv4';

export interface Frame {
  /** Bytes of each chunk but the last, which takes the rest. */
  readonly sizes?: readonly number[];
  /** Signs chunks and trailer. */
  readonly seed?: ChunkSeed;
  readonly trailer?: readonly (readonly [name: string, value: string])[];
  /** What ends a line of the trailer, and what stands before its signature: clients differ. */
  readonly lineEnd?: '\r\n' | '\n';
  readonly beforeSignature?: '' | '\r\n';
}

export const ANY_SEED: ChunkSeed = {
  key: Buffer.alloc(32, 7),
  date: '20260101T000000Z',
  scope: { date: '20260101', region: 'us-east-1', service: 's3' },
  signature: '0'.repeat(64),
};

/** A body in `aws-chunked` framing. */
export function framedBody(content: Uint8Array, { sizes = [], seed, trailer, lineEnd = '\r\n', beforeSignature = '' }: Frame = {}): Buffer {
  const signatures = seed === undefined ? undefined : new ChunkSignatures(seed);
  const parts: (string | Uint8Array)[] = [];
  const chunk = (bytes: Uint8Array): void => {
    signatures?.update(bytes);
    const extension = signatures === undefined ? '' : `;chunk-signature=${signatures.chunk()}`;
    parts.push(`${bytes.byteLength.toString(16)}${extension}\r\n`);
    if (bytes.byteLength > 0) parts.push(bytes, '\r\n');
  };
  let at = 0;
  for (const size of [...sizes, content.byteLength]) {
    if (at < content.byteLength && size > 0) chunk(content.subarray(at, at + size));
    at += size;
  }
  chunk(new Uint8Array());
  if (trailer !== undefined) {
    parts.push(...trailer.map(([name, value]) => `${name}:${value}${lineEnd}`));
    const lines = trailer.map(([name, value]) => `${name}:${value}\n`).join('');
    if (signatures !== undefined) parts.push(`${beforeSignature}x-amz-trailer-signature:${signatures.trailer(lines)}\r\n`);
  }
  parts.push('\r\n');
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
}
