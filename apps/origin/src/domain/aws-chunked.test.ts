import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ANY_SEED, type Frame, framedBody } from '../testing/framed-body.fixture.ts';
import { AwsChunkedDecoder, LINE_MAX_BYTES, TRAILERS_MAX, type Trailer } from './aws-chunked.ts';
import type { Framing } from './body-framing.ts';

const framingFor = (content: Uint8Array, { seed, trailer }: Frame): Framing => ({
  signed: seed !== undefined,
  trailer: trailer !== undefined,
  contentLength: content.byteLength,
});

function decode(framing: Framing, pieces: readonly Uint8Array[]): { content: Buffer; signatures: string[]; trailer: Trailer } {
  const decoder = new AwsChunkedDecoder(framing);
  const content: Uint8Array[] = [];
  const signatures: string[] = [];
  for (const piece of pieces) {
    for (const framed of decoder.decode(piece)) {
      if (framed.kind === 'content') content.push(Buffer.from(framed.bytes));
      else signatures.push(framed.signature);
    }
  }
  return { content: Buffer.concat(content), signatures, trailer: decoder.finish() };
}

function split(body: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((cut) => cut % (body.byteLength + 1)).sort((a, b) => a - b), body.byteLength];
  return at.slice(1).map((end, index) => body.subarray(at[index], end));
}

const contents = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const FIELD: readonly [string, string] = ['x-amz-checksum-crc32', 'AAAAAA=='];
const frames: fc.Arbitrary<Frame> = fc
  .record({
    sizes: fc.array(fc.integer({ min: 1, max: 80 }), { maxLength: 5 }),
    signed: fc.boolean(),
    trailer: fc.boolean(),
    lineEnd: fc.constantFrom('\r\n' as const, '\n' as const),
    beforeSignature: fc.constantFrom('' as const, '\r\n' as const),
  })
  .map(({ signed, trailer, ...rest }) => ({ ...rest, ...(signed ? { seed: ANY_SEED } : {}), ...(trailer ? { trailer: [FIELD] } : {}) }));

test('however a framed body is split, the same content comes out of it', () => {
  fc.assert(
    fc.property(contents, frames, fc.array(fc.nat(), { maxLength: 12 }), (content, frame, cuts) => {
      const body = framedBody(content, frame);
      const decoded = decode(framingFor(content, frame), split(body, cuts));
      expect(decoded.content.equals(content)).toBe(true);
      expect(decoded).toEqual(decode(framingFor(content, frame), [body]));
      expect(decoded.trailer.fields).toEqual(frame.trailer ?? []);
      expect(decoded.signatures.every((signature) => signature.length === (frame.seed === undefined ? 0 : 64))).toBe(true);
    }),
  );
});

test('byte by byte is as good as all at once', () => {
  const frame: Frame = { sizes: [3, 4], seed: ANY_SEED, trailer: [FIELD] };
  const content = Buffer.from('a content of some bytes');
  const pieces = Array.from(framedBody(content, frame), (byte) => Uint8Array.of(byte));
  expect(decode(framingFor(content, frame), pieces).content.equals(content)).toBe(true);
});

test('a body that ends anywhere before its end is refused', () => {
  fc.assert(
    fc.property(contents, frames, fc.nat(), (content, frame, cut) => {
      const body = framedBody(content, frame);
      const short = body.subarray(0, cut % body.byteLength);
      expect(() => decode(framingFor(content, frame), [short])).toThrow(expect.objectContaining({ name: 'S3Error' }));
    }),
  );
});

test('any bytes at all either are refused or have exactly the announced length', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat({ max: 10 }), fc.boolean(), fc.boolean(), (bytes, contentLength, signed, trailer) => {
      try {
        expect(decode({ signed, trailer, contentLength }, [bytes]).content.byteLength).toBe(contentLength);
      } catch (error) {
        expect(error).toMatchObject({ name: 'S3Error' });
      }
    }),
  );
});

describe('what is refused', () => {
  const plain: Framing = { signed: false, trailer: false, contentLength: 3 };
  const refused = (framing: Framing, text: string, code: string) =>
    expect(() => decode(framing, [Buffer.from(text)])).toThrow(expect.objectContaining({ code }));

  test.each([
    ['more than announced', '4\r\nabcd\r\n0\r\n\r\n', 'IncompleteBody'],
    ['less than announced', '2\r\nab\r\n0\r\n\r\n', 'IncompleteBody'],
    ['a chunk longer than it says', '2\r\nabc\r\n', 'InvalidRequest'],
    ['a size that is no number', 'x\r\n', 'InvalidRequest'],
    ['a size without bounds', `${'f'.repeat(17)}\r\n`, 'InvalidRequest'],
    ['a size beyond all integers', `${'f'.repeat(16)}\r\n`, 'IncompleteBody'],
    ['a line feed alone', '3\nabc\n0\n\n', 'InvalidRequest'],
    ['an extension nobody knows', '3;a=b\r\nabc\r\n0\r\n\r\n', 'InvalidRequest'],
    ['a signature where none belongs', `3;chunk-signature=${'0'.repeat(64)}\r\nabc\r\n0\r\n\r\n`, 'InvalidRequest'],
    ['a trailer where none belongs', '3\r\nabc\r\n0\r\na:b\r\n\r\n', 'MalformedTrailerError'],
    ['something behind the end', '3\r\nabc\r\n0\r\n\r\nx\r\n', 'MalformedTrailerError'],
    ['half a line behind the end', '3\r\nabc\r\n0\r\n\r\nx', 'IncompleteBody'],
  ])('%s', (_name, text, code) => refused(plain, text, code));

  test('no signature where there must be one', () => {
    refused({ ...plain, signed: true }, '3\r\nabc\r\n0\r\n\r\n', 'InvalidRequest');
    const body = framedBody(Buffer.from('abc'), { seed: ANY_SEED });
    refused({ ...plain, signed: true, trailer: true }, body.toString(), 'MalformedTrailerError');
  });

  test('lines and trailers beyond their bounds, before they are complete', () => {
    const trailer = { ...plain, trailer: true };
    const chunk = '3\r\nabc\r\n0\r\n';
    refused(plain, '0'.repeat(LINE_MAX_BYTES + 1), 'InvalidRequest');
    refused(trailer, `${chunk}a:${'b'.repeat(LINE_MAX_BYTES)}`, 'InvalidRequest');
    refused(trailer, `${chunk}${'a:b\r\n'.repeat(TRAILERS_MAX + 1)}`, 'MalformedTrailerError');
    expect(decode(trailer, [Buffer.from(`${chunk}${'a:b\r\n'.repeat(TRAILERS_MAX)}\r\n`)]).trailer.fields).toHaveLength(TRAILERS_MAX);
    expect(decode(trailer, [Buffer.from(`${chunk}a:${'b'.repeat(LINE_MAX_BYTES - 4)}\r\n\r\n`)]).trailer.fields).toHaveLength(1);
  });
});
