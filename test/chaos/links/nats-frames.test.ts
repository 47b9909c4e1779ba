import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CONTROL_LINE_MAX_BYTES, type Frame, FrameError, FrameReader, unrecognisedCopy } from './nats-frames.ts';

/** Payloads and headers that look like frames are what a reader gets wrong. */
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom('PUB a 3\r\nabc\r\n', 'PING\r\n', '\r\n', '\n', '').map((text) => Buffer.from(text)),
);
const subject = fc.constantFrom('content.uploaded', 'edge.us-1.push', '_INBOX.a.1', 'a');
const reply = fc.constantFrom('', ' _INBOX.b.2', '\treply');
const HEADERS = Buffer.from('NATS/1.0\r\nNats-Msg-Id: 17\r\n\r\n');

const frame: fc.Arbitrary<{ readonly bytes: Buffer; readonly subject: string | undefined }> = fc.oneof(
  fc
    .constantFrom('PING\r\n', 'pong\r\n', 'CONNECT {"verbose":false}\r\n', 'SUB content.> 1\r\n', 'UNSUB 1 2\n')
    .map((line) => ({ bytes: Buffer.from(line), subject: undefined })),
  fc.record({ subject, reply, payload, verb: fc.constantFrom('PUB', 'pub', 'HPUB', 'hpub') }).map(({ subject, reply, payload, verb }) => {
    const headers = verb.toUpperCase() === 'HPUB' ? HEADERS : Buffer.alloc(0);
    const lengths = [...(headers.length === 0 ? [] : [headers.length]), headers.length + payload.length].join(' ');
    return {
      bytes: Buffer.concat([Buffer.from(`${verb} ${subject}${reply} ${lengths}\r\n`), headers, payload, Buffer.from('\r\n')]),
      subject,
    };
  }),
);

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...[...cuts].map((each) => each % (bytes.byteLength + 1)).sort((a, b) => a - b), bytes.byteLength];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

test('frames are the same however the bytes are cut, and together they are all of the bytes', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }), (sent, cuts) => {
      const reader = new FrameReader();
      const got: Frame[] = cut(Buffer.concat(sent.map(({ bytes }) => bytes)), cuts).flatMap((chunk) => reader.push(chunk));
      expect(got.map(({ bytes }) => String(bytes))).toEqual(sent.map(({ bytes }) => String(bytes)));
      expect(got.map((each) => (each.kind === 'publish' ? each.subject : undefined))).toEqual(sent.map(({ subject }) => subject));
    }),
    { numRuns: 500, seed: 11 },
  );
});

test('a copy is as long as its original and differs in the message id alone', () => {
  const [original] = new FrameReader().push(
    Buffer.from(`HPUB a ${HEADERS.length} ${HEADERS.length + 15}\r\n${HEADERS}Nats-Msg-Id: 17\r\n`),
  );
  const copy = unrecognisedCopy(original as Frame & { kind: 'publish' });
  expect(String(copy)).toBe(String(original?.bytes).replace('Nats-Msg-Id', 'Nats-Msg-No'));
  expect(String(original?.bytes)).toContain('Nats-Msg-Id: 17\r\n\r\n');
});

test.each([
  ['a control line without an end', 'x'.repeat(CONTROL_LINE_MAX_BYTES + 1)],
  ['no length', 'PUB a\r\n'],
  ['a length below nothing', 'PUB a -1\r\n'],
  ['a length that no server takes', 'PUB a 999999999999\r\n'],
])('%s ends the reading with an error, not with memory', (_, text) => {
  expect(() => new FrameReader().push(Buffer.from(text))).toThrow(FrameError);
});
