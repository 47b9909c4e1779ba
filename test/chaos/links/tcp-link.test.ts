import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomOf } from '../random.ts';
import { TcpLink } from './tcp-link.ts';

/** A server that sends back what it gets, behind a link. */
async function scene() {
  const cleanup = new AsyncDisposableStack();
  const accepted: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    socket.on('error', () => {});
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanup.defer(async () => {
    for (const socket of accepted) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const link = cleanup.use(
    await TcpLink.open({ name: 'near → far', to: { port: (server.address() as AddressInfo).port }, rng: randomOf(1).fraction }),
  );
  return {
    ...{ link, accepted, server },
    async connect(): Promise<Socket> {
      const socket = connect({ port: link.port, host: link.host, allowHalfOpen: true });
      cleanup.defer(() => void socket.destroy());
      await once(socket, 'connect');
      return socket;
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

async function echo(socket: Socket, bytes: Buffer): Promise<void> {
  socket.write(bytes);
  let got = Buffer.alloc(0);
  while (got.byteLength < bytes.byteLength) got = Buffer.concat([got, (await once(socket, 'data'))[0]]);
  expect(got.equals(bytes)).toBe(true);
}

async function tookMs(work: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work;
  return performance.now() - start;
}

/** What a socket is told from now on. */
function heard(socket: Socket): string[] {
  const events: string[] = [];
  for (const name of ['data', 'end', 'close']) socket.on(name, () => events.push(name));
  socket.on('error', (error: NodeJS.ErrnoException) => events.push(error.code as string));
  return events;
}

/** Not by `once`, which fails at the error that comes before. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.on('close', () => resolve());
  });
}

describe('a TCP link', () => {
  test('passes all bytes in order and each end after them, however it is shaped', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 40_000 }), { maxLength: 6 }),
        fc.record({ delayMs: fc.constantFrom(0, 1, 7), rate: fc.constantFrom(Number.POSITIVE_INFINITY, 5_000_000) }),
        async (chunks, { delayMs, rate }) => {
          await using place = await scene();
          await place.link.delay(delayMs);
          await place.link.limit(rate);
          const socket = await place.connect();
          const answer = buffer(socket);
          for (const chunk of chunks) socket.write(chunk);
          socket.end();
          expect((await answer).equals(Buffer.concat(chunks))).toBe(true);
        },
      ),
      { numRuns: 25, seed: 5 },
    );
  });

  test('takes longer by its delay in each direction, and by what its bandwidth needs', async () => {
    await using place = await scene();
    const socket = await place.connect();
    await place.link.delay(60);
    expect(await tookMs(echo(socket, Buffer.from('x')))).toBeGreaterThanOrEqual(119);
    await place.link.heal();
    await place.link.limit(100_000);
    expect(await tookMs(echo(socket, Buffer.alloc(20_000, 7)))).toBeGreaterThanOrEqual(199);
  });

  test('shares its bandwidth among its connections', async () => {
    await using place = await scene();
    const sockets = [await place.connect(), await place.connect()];
    await place.link.limit(100_000);
    expect(await tookMs(Promise.all(sockets.map((socket) => echo(socket, Buffer.alloc(10_000)))))).toBeGreaterThanOrEqual(199);
  });

  test('makes who sends on it wait for what was lost, and loses nothing in the end', async () => {
    await using place = await scene();
    const socket = await place.connect();
    await place.link.lose(1);
    expect(await tookMs(echo(socket, Buffer.from('x')))).toBeGreaterThanOrEqual(399);
  });

  test('cut resets what is open and what comes, on both sides, until it is healed', async () => {
    await using place = await scene();
    const socket = await place.connect();
    await echo(socket, Buffer.from('x'));
    const [events, farEvents] = [heard(socket), heard(place.accepted[0] as Socket)];
    await place.link.cut();
    await Promise.all([closed(socket), closed(place.accepted[0] as Socket)]);
    expect([events, farEvents]).toEqual([
      ['ECONNRESET', 'close'],
      ['ECONNRESET', 'close'],
    ]);
    const late = connect(place.link.port, place.link.host);
    expect(await once(late, 'end').catch((error: NodeJS.ErrnoException) => error.code)).toBe('ECONNRESET');
    await place.link.heal();
    await echo(await place.connect(), Buffer.from('again'));
  });

  test('a black hole passes nothing, not even that the other side has gone, and what was sent into it arrives afterwards', async () => {
    await using place = await scene();
    const [kept, left] = [await place.connect(), await place.connect()];
    await echo(kept, Buffer.from('x'));
    await echo(left, Buffer.from('x'));
    const other = heard(left);
    await place.link.blackhole();
    const events = heard(kept);
    kept.write('into the hole');
    const late = await place.connect();
    late.write('too late');
    (place.accepted[1] as Socket).resetAndDestroy();
    // Whatever would pass in spite of it would be here before this has gone around another link.
    await using elsewhere = await scene();
    await elsewhere.link.delay(20);
    await echo(await elsewhere.connect(), Buffer.from('x'));
    expect([events, other, place.accepted.length]).toEqual([[], [], 2]);
    const answers = Promise.all([once(kept, 'data'), once(late, 'data')]);
    await place.link.heal();
    expect((await answers).map(([bytes]) => String(bytes))).toEqual(['into the hole', 'too late']);
    await closed(left);
    expect(other).toContain('ECONNRESET');
  });

  test('half open, the far side has lost a connection of which the near side still thinks the best', async () => {
    await using place = await scene();
    const socket = await place.connect();
    await echo(socket, Buffer.from('x'));
    const events = heard(socket);
    await place.link.halfOpen();
    await closed(place.accepted[0] as Socket);
    socket.write('is anybody there?');
    await using elsewhere = await scene();
    await echo(await elsewhere.connect(), Buffer.from('x'));
    expect(events).toEqual([]);
    await place.link.heal();
    await closed(socket);
    expect(events).toEqual(['ECONNRESET', 'close']);
  });

  test('holds no more than a bounded amount for a side that does not read', async () => {
    await using place = await scene();
    const socket = await place.connect();
    await place.link.blackhole();
    const chunk = Buffer.alloc(1_000_000);
    // Buffers of the system's own on the way take some megabytes; without a bound all 64 would go.
    for (let turn = 0; turn < 64; turn++) socket.write(chunk);
    await using elsewhere = await scene();
    await elsewhere.link.delay(50);
    await echo(await elsewhere.connect(), Buffer.from('x'));
    expect(socket.writableLength).toBeGreaterThan(32_000_000);
  });
});
