import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { eventually } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { originFixture, rawExchange, statusOf } from '../../testing/origin.fixture.ts';

const HEALTH = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n';

describe('connections', () => {
  test.each([
    ['nothing', ''],
    ['a part', 'PUT /site/a HTTP/1.1\r\nho'],
  ])('a header of which %s comes is answered 408 when its time is over', async (_what, sent) => {
    await using origin = await originFixture({ seams: { limits: { headersMs: 50, checkMs: 10 } } });
    const response = await rawExchange(origin.port, [sent]);
    expect(statusOf(response)).toBe(408);
    expect(response).toContain('<Code>RequestTimeout</Code>');
  });

  test('an upload on which nothing moves is cut off and leaves nothing', async () => {
    await using origin = await originFixture({ seams: { limits: { idleMs: 500 } } });
    expect(await rawExchange(origin.port, ['PUT /site/a HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\nabc'])).toBe('');
    await eventually(async () => {
      expect(await origin.metric('sluice_origin_uploads_total{outcome="aborted"}')).toBe(1);
      expect(await readdir(join(origin.dir, 'blobs', 'incoming'))).toEqual([]);
    });
  });

  test('a connection without a further request is closed', async () => {
    await using origin = await originFixture({ seams: { limits: { idleMs: 500 } } });
    expect(statusOf(await rawExchange(origin.port, [HEALTH]))).toBe(200);
  });

  test('one more than the limit is closed at once, and there is room again afterwards', async () => {
    await using origin = await originFixture({ seams: { limits: { connectionsMax: 2 } } });
    const served = [1, 2].map(() => connect(origin.port, '127.0.0.1'));
    for (const socket of served) socket.write(HEALTH);
    for (const socket of served) expect(statusOf(String((await once(socket, 'data'))[0]))).toBe(200);
    expect(await rawExchange(origin.port, [])).toBe('');
    for (const socket of served) socket.destroy();
    await eventually(async () => expect(statusOf(await rawExchange(origin.port, ['GET /healthz HTTP/1.0\r\n\r\n']))).toBe(200));
  });
});
