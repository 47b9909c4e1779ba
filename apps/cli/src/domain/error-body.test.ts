import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readErrorBody } from './error-body.ts';

describe('error body', () => {
  test.each([
    [
      'S3’s XML',
      '<?xml version="1.0"?><Error><Code>BadDigest</Code><Message>a &lt;b&gt; &amp;amp; &#233;&#x20AC;</Message></Error>',
      { code: 'BadDigest', message: 'a <b> &amp; é€' },
    ],
    ['Sluice’s JSON', '{"error":{"code":"NOT_FOUND","message":"no such event"}}', { code: 'NOT_FOUND', message: 'no such event' }],
    ['plain text', 'gateway is tired\n', { code: 'HTTP_502', message: 'gateway is tired' }],
    ['nothing', '', { code: 'HTTP_502', message: 'it answered with status 502' }],
    ['somebody’s HTML page', '<html><h1>Bad gateway</h1></html>', { code: 'HTTP_502', message: 'it answered with status 502' }],
    ['JSON of another shape', '{"oops":1}', { code: 'HTTP_502', message: '{"oops":1}' }],
    ['an impossible character', '<Message>&#x110000;</Message>', { code: 'HTTP_502', message: '&#x110000;' }],
  ])('%s is understood', (_name, body, expected) => {
    expect(readErrorBody(502, body)).toEqual(expected);
  });

  test('any body gives a message that has words and cannot steer a terminal', () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary' }).map((message) => JSON.stringify({ error: { code: message, message } })),
      fc.string({ unit: 'binary' }).map((message) => `<Message>\u001b[2J${message}</Message>`),
      fc.json(),
    );
    fc.assert(
      fc.property(hostile, (body) => {
        const { code, message } = readErrorBody(500, body);
        expect(code).not.toBe('');
        expect(message).not.toBe('');
        expect(message.length).toBeLessThanOrEqual(1000);
        expect(code + message).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});
