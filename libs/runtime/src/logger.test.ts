import { describe, expect, test } from 'vitest';
import { createLogger } from './mod.ts';

function logged(fields: object, bindings: Record<string, string> = {}): Record<string, unknown> {
  const lines: string[] = [];
  createLogger('test', 'info', bindings, { write: (line) => void lines.push(line) }).error(fields, 'failed');
  return JSON.parse(lines.join(''));
}

describe('a secret is in no line', () => {
  const SECRET = 'hush-hush';

  test.each([
    'authorization',
    'proxy-authorization',
    'cookie',
    'set-cookie',
    'x-amz-security-token',
    'password',
    'secret',
    'secretAccessKey',
    'sessionToken',
    'token',
  ])('as the field %s of the line, of what it is about, of the headers in that, or of an error', (name) => {
    const error = Object.assign(new Error('no'), { [name]: SECRET, headers: { [name]: SECRET, host: 'x' } });
    const line = logged({
      [name]: SECRET,
      headers: { [name]: SECRET, host: 'x' },
      request: { method: 'GET', headers: { [name]: SECRET } },
      err: error,
    });
    expect(JSON.stringify(line)).not.toContain(SECRET);
    expect(line).toMatchObject({
      msg: 'failed',
      headers: { host: 'x' },
      request: { method: 'GET' },
      err: { message: 'no', headers: { host: 'x' } },
    });
  });

  test('in the URL that could not be read', () => {
    let error: unknown;
    try {
      new URL(`tls://user:${SECRET}@[`);
    } catch (caught) {
      error = caught;
    }
    const line = logged({ err: error });
    expect(line).toMatchObject({ err: { message: 'Invalid URL' } });
    expect(JSON.stringify(line)).not.toContain(SECRET);
  });
});

test('what is no secret is told', () => {
  expect(logged({ path: '/etc/x', err: new Error('why') }, { edge: 'us-1' })).toMatchObject({
    ...{ level: 'error', app: 'test', edge: 'us-1', path: '/etc/x', msg: 'failed' },
    err: { message: 'why', stack: expect.stringContaining('logger.test') },
  });
});
