import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, md5, type OriginFixture, originFixture, rawExchange, statusOf } from '../../testing/origin.fixture.ts';

let origin: OriginFixture;
beforeAll(async () => {
  origin = await originFixture();
});
afterAll(() => origin[Symbol.asyncDispose]());

const send = (method: string, path: string, headers: Record<string, string>, body?: string) =>
  fetch(origin.url + path, { method, headers, ...(body === undefined ? {} : { body }) });
const text = async (path: string) => (await fetch(origin.url + path)).text();
const quoted = (body: string) => `"${md5(body)}"`;

describe('a conditional write', () => {
  test('that wants nothing there is carried out once', async () => {
    expect((await send('PUT', '/site/new', { 'if-none-match': '*' }, 'first')).status).toBe(200);
    const refused = await send('PUT', '/site/new', { 'if-none-match': '*' }, 'second');
    expect([refused.status, await errorCode(refused), await text('/site/new')]).toEqual([412, 'PreconditionFailed', 'first']);
    await send('DELETE', '/site/new', {});
    expect((await send('PUT', '/site/new', { 'if-none-match': '*' }, 'third')).status).toBe(200);
  });

  test('of many whose bodies end at once exactly one is carried out, and its body is the object', async () => {
    // Each has passed the look at what is there before its body came: 100 Continue says so.
    const sockets = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const socket = connect(origin.port, '127.0.0.1').setEncoding('latin1');
        socket.write(
          'PUT /site/raced HTTP/1.1\r\nhost: x\r\nconnection: close\r\nif-none-match: *\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n',
        );
        expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 100 /);
        return socket;
      }),
    );
    const finish = async (socket: Socket, index: number): Promise<number> => {
      socket.write(String(index));
      return statusOf(String((await once(socket, 'data'))[0]));
    };
    const statuses = await Promise.all(sockets.map(finish));
    expect([...statuses].sort()).toEqual([200, ...Array(7).fill(412)]);
    expect(await text('/site/raced')).toBe(String(statuses.indexOf(200)));
  });

  test('that cannot be carried out is refused before its body', async () => {
    await send('PUT', '/site/there', {}, 'x');
    const head = 'PUT /site/there HTTP/1.1\r\nhost: x\r\nif-none-match: *\r\nexpect: 100-continue\r\ncontent-length: 1000000\r\n\r\n';
    const response = await rawExchange(origin.port, [head]);
    expect([statusOf(response), response.includes('100 Continue')]).toEqual([412, false]);
  });

  test('of a certain content is carried out on that content only', async () => {
    await send('PUT', '/site/swap', {}, 'one');
    for (const tag of [quoted('one'), md5('two'), '*']) {
      const next = { [quoted('one')]: 'two', [md5('two')]: 'three', '*': 'four' }[tag] ?? '';
      expect((await send('PUT', '/site/swap', { 'if-match': tag }, next)).status).toBe(200);
    }
    const refused = await send('PUT', '/site/swap', { 'if-match': quoted('one') }, 'five');
    expect([refused.status, await errorCode(refused), await text('/site/swap')]).toEqual([412, 'PreconditionFailed', 'four']);
    const missing = await send('PUT', '/site/swap-none', { 'if-match': '*' }, 'x');
    expect([missing.status, await errorCode(missing)]).toEqual([404, 'NoSuchKey']);
  });

  test('removes a certain content only', async () => {
    await send('PUT', '/site/removed', {}, 'one');
    const refused = await send('DELETE', '/site/removed', { 'if-match': quoted('two') });
    expect([refused.status, await errorCode(refused), await text('/site/removed')]).toEqual([412, 'PreconditionFailed', 'one']);
    expect((await send('DELETE', '/site/removed', { 'if-unmodified-since': 'Thu, 01 Dec 2094 16:00:00 GMT' })).status).toBe(501);
    expect((await send('DELETE', '/site/removed', { 'if-match': quoted('one') })).status).toBe(204);
    expect((await send('DELETE', '/site/removed', { 'if-match': quoted('one') })).status).toBe(404);
  });
});
