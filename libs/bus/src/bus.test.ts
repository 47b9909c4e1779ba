import { CONTENT_UPLOADED, controllerRegister, type Exchange, ORIGIN_FETCH, SluiceError, STREAMS } from '@sluice/contracts';
import { edgeReport, silentLog, testBroker } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { askAgain } from './ask-again.ts';
import { Bus, type DurableMessage, NoListenerError, NoReplyError, Streams } from './mod.ts';

const REPORT = edgeReport();
const REGISTER = controllerRegister(REPORT.id);

describe('bus', () => {
  test.each(['user:secret', 'user:@secret@', 'a.secret.token'])('who connects tells the log where to, and not as whom: %s', async (as) => {
    await using environment = await testBroker();
    const said: unknown[] = [];
    const log = { ...silentLog, info: (fields: object) => void said.push(fields) };
    const bus = await Bus.connect({ servers: [environment.url.replace('//', `//${as}@`)], name: 'test', log });
    await bus.close();
    expect(said[0]).toEqual({ servers: [environment.url] });
    expect(JSON.stringify(said)).not.toContain('secret');
  });

  test('a request is answered with the checked reply, bytes come raw, a thrown failure arrives with its code', async () => {
    await using environment = await testBroker();
    const [server, client] = await Promise.all([environment.connect(), environment.connect()]);
    server.serve(ORIGIN_FETCH, (request) => {
      if (request.op !== 'resolve') return Buffer.from('raw');
      if (request.key === 'site/bad') throw new SluiceError('DISK_FULL', 'no room', { retryable: true });
      return { ok: true, found: false, asOf: 7 } as const;
    });
    await server.flush();
    const timeoutMs = 2_000;
    expect(await client.request(ORIGIN_FETCH, { op: 'resolve', key: 'site/a' }, { timeoutMs })).toEqual({
      ok: true,
      found: false,
      asOf: 7,
    });
    const bytes = await client.requestBytes(ORIGIN_FETCH, { op: 'read', sha256: 'a'.repeat(64), offset: 0, length: 3 }, { timeoutMs });
    expect(Buffer.from(bytes).toString()).toBe('raw');
    await expect(client.request(ORIGIN_FETCH, { op: 'resolve', key: 'site/bad' }, { timeoutMs })).rejects.toMatchObject({
      code: 'DISK_FULL',
      retryable: true,
    });
  });

  test('who verifies gets each reply with its signature before anything is made of it, bound to a nonce of this request; who does not is sent none', async () => {
    await using environment = await testBroker();
    const [server, client] = await Promise.all([environment.connect(), environment.connect()]);
    const signed: Exchange[] = [];
    const sign = (exchange: Exchange): string => `signature-${signed.push(exchange)}`;
    const handler = (request: { op: string; key?: string }) => {
      if (request.op !== 'resolve') return Buffer.from('raw');
      if (request.key === 'site/bad') throw new SluiceError('DISK_FULL', 'no room');
      return { ok: true, found: false, asOf: 7 } as const;
    };
    server.serve(ORIGIN_FETCH, handler, { sign });
    await server.flush();
    const seen: { exchange: Exchange; signature: string | undefined }[] = [];
    const verify = (exchange: Exchange, signature: string | undefined): void => void seen.push({ exchange, signature });
    const timeoutMs = 2_000;
    await client.request(ORIGIN_FETCH, { op: 'resolve', key: 'site/a' }, { timeoutMs });
    expect(signed).toEqual([]);
    await client.request(ORIGIN_FETCH, { op: 'resolve', key: 'site/a' }, { timeoutMs, verify });
    await client.requestBytes(ORIGIN_FETCH, { op: 'blocks', sha256: 'a'.repeat(64) }, { timeoutMs, verify });
    await expect(client.request(ORIGIN_FETCH, { op: 'resolve', key: 'site/bad' }, { timeoutMs, verify })).rejects.toThrow('no room');
    expect(seen.map(({ signature }) => signature)).toEqual(['signature-1', 'signature-2', 'signature-3']);
    const plain = ({ request, reply, ...rest }: Exchange) => ({
      ...rest,
      request: Buffer.from(request).toString(),
      reply: Buffer.from(reply).toString(),
    });
    expect(seen.map(({ exchange }) => plain(exchange))).toEqual(signed.map(plain));
    expect(signed.map(({ kind }) => kind)).toEqual(['json', 'bytes', 'json']);
    expect(new Set(signed.map(({ nonce }) => nonce)).size).toBe(3);
    const refuse = (): void => {
      throw new SluiceError('SIGNATURE_REFUSED', 'no');
    };
    // Not even a failure is believed.
    const refused = client.request(ORIGIN_FETCH, { op: 'resolve', key: 'site/bad' }, { timeoutMs, verify: refuse });
    await expect(refused).rejects.toMatchObject({ code: 'SIGNATURE_REFUSED' });
  });

  test('nobody there, nobody answering and a caller that gives up are three different errors', async () => {
    await using environment = await testBroker();
    const [server, client] = await Promise.all([environment.connect(), environment.connect()]);
    await expect(client.request(REGISTER, REPORT, { timeoutMs: 2_000 })).rejects.toThrow(NoListenerError);
    server.serve(REGISTER, () => new Promise(() => {}));
    await server.flush();
    await expect(client.request(REGISTER, REPORT, { timeoutMs: 50 })).rejects.toThrow(NoReplyError);
    const abort = new AbortController();
    const given = client.request(REGISTER, REPORT, { timeoutMs: 60_000, signal: abort.signal });
    abort.abort(new Error('left'));
    await expect(given).rejects.toThrow('left');
  });

  test('what has no answer is asked again meanwhile, for the one of several who got it may hang, and the first answer counts', async () => {
    await using environment = await testBroker();
    const [server, client] = await Promise.all([environment.connect(), environment.connect()]);
    const asked: string[] = [];
    server.serve(ORIGIN_FETCH, (request) => {
      asked.push(request.op);
      return asked.length === 1 ? new Promise(() => {}) : ({ ok: true, found: false, asOf: asked.length } as const);
    });
    await server.flush();
    const request = { op: 'resolve', key: 'site/a' } as const;
    const answer = await client.request(ORIGIN_FETCH, request, { timeoutMs: 20_000, againAfterMs: 20 });
    expect(answer).toMatchObject({ asOf: expect.toSatisfy((asOf: number) => asOf >= 2) });
  });

  test('a request that is never answered is sent a bounded number of times, and ends in time', async () => {
    const asked: number[] = [];
    const silence = (timeoutMs: number) =>
      new Promise<never>((_, reject) => {
        asked.push(timeoutMs);
        setTimeout(() => reject(new Error('silence')), timeoutMs);
      });
    await expect(askAgain(silence, { timeoutMs: 100, againAfterMs: 10 })).rejects.toThrow('silence');
    expect(asked).toEqual([100, 90, 80, 60, 20]);
  });

  test('what others send is heard as it is, by one of a group, and a listener that throws hears the next', async () => {
    await using environment = await testBroker();
    const [sender, one, other] = await Promise.all([environment.connect(), environment.connect(), environment.connect()]);
    const heard: string[] = [];
    let wake: () => void = () => {};
    const all = new Promise<void>((resolve) => {
      wake = () => heard.length === 40 && resolve();
    });
    const listener = (data: Uint8Array, subject: string): void => {
      heard.push(`${subject} ${Buffer.from(data).toString()}`);
      wake();
      throw new Error('this is a test');
    };
    const ends = [one, other].map((bus) => bus.listen('others.>', listener, { queue: 'group' }));
    await Promise.all([one.flush(), other.flush()]);
    const sent = Array.from({ length: 40 }, (_, index) => `others.${index % 2} {not JSON ${index}`);
    for (const message of sent) sender.connection.publish(message.slice(0, 8), message.slice(9));
    await all;
    for (const end of ends) end();
    await Promise.all([one.flush(), other.flush()]);
    sender.connection.publish('others.0', 'late');
    await Promise.all([sender.flush(), one.flush(), other.flush()]);
    expect(heard.sort()).toEqual(sent.sort());
  });

  test('a message off the contract is refused before it leaves and when it arrives, naming the field', async () => {
    await using environment = await testBroker();
    const [server, client] = await Promise.all([environment.connect(), environment.connect()]);
    server.serve(REGISTER, () => ({ ok: true, heartbeatMs: 1, leaseMs: 1 }) as const);
    await server.flush();
    await expect(client.request(REGISTER, { ...REPORT, id: 'a.b' }, { timeoutMs: 1_000 })).rejects.toThrow(/id: must be/);
    const reply = await client.connection.request(REGISTER.subject, JSON.stringify({ ...REPORT, id: 'a.b' }), { timeout: 1_000 });
    expect(reply.json()).toMatchObject({ ok: false, error: { code: 'INVALID_MESSAGE', message: expect.stringContaining('id: must be') } });
  });

  test('a durable event reaches one of the consumers that share a name, once, also after the broker lost its store', async () => {
    await using environment = await testBroker();
    const bus = await environment.connect();
    const streams = new Streams(bus, silentLog);
    const received: number[] = [];
    let wake: () => void = () => {};
    const take = (message: DurableMessage): void => {
      received.push(JSON.parse(Buffer.from(message.data).toString()).version);
      message.ack();
      wake();
    };
    const until = (count: number) =>
      new Promise<void>((resolve) => {
        wake = () => {
          if (received.length >= count) resolve();
        };
        wake();
      });
    const options = { stream: STREAMS.CONTENT, durable: 'shared', maxPending: 100, ackWaitMs: 5_000 };
    await streams.ensure();
    const consumers = [streams.consume(options, take), streams.consume(options, take)];
    for (const version of [1, 2, 2, 3]) await streams.publish(CONTENT_UPLOADED, { key: 'site/a', version }, `event-${version}`);
    await until(3);
    expect(received.sort()).toEqual([1, 2, 3]);

    await environment.broker.kill();
    const { rm } = await import('node:fs/promises');
    await rm(environment.broker.storeDir, { recursive: true, force: true });
    const reconnected = new Promise<void>((resolve) => bus.onReconnect(resolve));
    await environment.broker.start();
    await reconnected;
    await streams.ensure();
    await streams.publish(CONTENT_UPLOADED, { key: 'site/a', version: 4 }, 'event-4');
    await until(4);
    expect(received.at(-1)).toBe(4);
    await Promise.all(consumers.map((consumer) => consumer.stop()));
  }, 30_000);
});
