import { createHash } from 'node:crypto';
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { freePort } from '@sluice/stack';
import { temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { CapturedIo, sluice } from '../captured-io.fixture.ts';
import { state } from '../domain/states.fixture.ts';
import { runProgram } from '../program.ts';

/** A service that answers as the test says. */
async function service(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const STORED = { 'x-sluice-event-id': 'e-1', 'x-sluice-version': '7' };

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** An origin that stores nothing and says it did. */
const accept: RequestListener = async (request, response) => {
  const etag = `"${createHash('md5')
    .update(await bodyOf(request))
    .digest('hex')}"`;
  response.writeHead(200, { ...STORED, etag }).end();
};

describe('put', () => {
  test('sends the size, the type and the placement, and streams a file larger than any buffer whole', async () => {
    await using dir = await temporaryDirectory();
    const file = join(dir.path, 'big.html');
    await writeFile(file, Buffer.alloc(3_000_001, 'x'));
    const seen: { url?: string | undefined; headers?: IncomingMessage['headers'] } = {};
    await using origin = await service((request, response) => {
      seen.url = request.url;
      seen.headers = request.headers;
      accept(request, response);
    });
    const options = ['--regions', 'us,IN', '--tags', 'v41, home', '--cache-control', 'max-age=60', '--cdn-cache-control', 'max-age=600'];
    const { exitCode, stdout } = await sluice('put', file, 'site/a b+c%41é.html', '--json', '--origin', origin.url, ...options);
    expect(JSON.parse(stdout)).toEqual({ key: 'site/a b+c%41é.html', file, sizeBytes: 3_000_001, id: 'e-1', version: 7 });
    expect(exitCode).toBe(0);
    expect(seen.url).toBe('/site/a%20b%2Bc%2541%C3%A9.html');
    expect(seen.headers).toMatchObject({
      'content-length': '3000001',
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'max-age=60',
      'cdn-cache-control': 'max-age=600',
      'x-amz-meta-regions': 'US,IN',
      'x-amz-meta-tags': 'v41,home',
    });
  });

  test('an empty file is a file', async () => {
    await using dir = await temporaryDirectory();
    const file = join(dir.path, 'empty');
    await writeFile(file, '');
    await using origin = await service(accept);
    expect(await sluice('put', file, 'site/', '--json', '--origin', origin.url)).toMatchObject({ exitCode: 0, stderr: '' });
  });

  test('a refusal in the middle of the upload is told in the origin’s words', async () => {
    await using dir = await temporaryDirectory();
    const file = join(dir.path, 'big');
    await writeFile(file, Buffer.alloc(20_000_000));
    await using origin = await service((request, response) => {
      request.once('data', () => {
        // As the origin does: it answers, and takes off the wire what is on its way, because closing now would lose the answer.
        const body = '<Error><Code>InsufficientStorage</Code><Message>the disk &amp; all is full</Message></Error>';
        response.writeHead(507, { connection: 'close', 'content-length': body.length }).write(body);
        request.once('close', () => response.end());
      });
    });
    expect(await sluice('put', file, 'site/', '--origin', origin.url)).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: 'error: the origin refused to store site/big: the disk & all is full\n',
    });
  });

  test('an origin that stored other bytes is found out by its entity tag', async () => {
    await using dir = await temporaryDirectory();
    const file = join(dir.path, 'a');
    await writeFile(file, 'a');
    await using origin = await service(async (request, response) => {
      await bodyOf(request);
      response.writeHead(200, { ...STORED, etag: `"${'0'.repeat(32)}"` }).end();
    });
    const { exitCode, stdout } = await sluice('put', file, 'site/', '--json', '--origin', origin.url);
    expect([exitCode, JSON.parse(stdout)]).toEqual([
      1,
      { error: { code: 'BAD_DIGEST', message: expect.stringContaining('put it again') } },
    ]);
  });

  test('a file that shrinks while it is read ends the upload before it is whole', async () => {
    await using dir = await temporaryDirectory();
    const file = join(dir.path, 'shrinking');
    await writeFile(file, Buffer.alloc(30_000_000));
    let note: (whole: boolean) => void = () => {};
    const whole = new Promise<boolean>((resolve) => {
      note = resolve;
    });
    await using origin = await service((request) => {
      request.once('data', async () => {
        request.pause();
        await truncate(file, 1);
        request.resume();
      });
      request.once('close', () => note(request.complete));
    });
    const { exitCode, stderr } = await sluice('put', file, 'site/', '--origin', origin.url);
    expect([exitCode, stderr]).toEqual([1, `error: ${file} became shorter while it was read; nothing was stored, put it again\n`]);
    expect(await whole).toBe(false);
  });

  test('a kept connection that the origin has closed is replaced without a word', async () => {
    await using dir = await temporaryDirectory();
    const file = join(dir.path, 'a');
    await writeFile(file, 'a');
    let requests = 0;
    await using origin = await service((request, response) => {
      // Takes the second request on a connection for one too many, as a server does whose idle timeout strikes in that moment.
      if (++requests === 2) request.socket.resetAndDestroy();
      else accept(request, response);
    });
    for (let round = 0; round < 2; round++) {
      expect(await sluice('put', file, 'site/', '--json', '--origin', origin.url)).toMatchObject({ exitCode: 0, stderr: '' });
    }
    expect(requests).toBe(3);
  });

  test('what was put is told although the controller, asked with --wait, is away; the exit code says so', async () => {
    await using dir = await temporaryDirectory();
    const file = join(dir.path, 'a');
    await writeFile(file, 'a');
    await using origin = await service(accept);
    const controller = `http://127.0.0.1:${await freePort()}`;
    const { exitCode, stdout, stderr } = await sluice(
      'put',
      file,
      'site/',
      '--wait',
      '--json',
      '--origin',
      origin.url,
      '--controller',
      controller,
    );
    expect(exitCode).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({ key: 'site/a', id: 'e-1', distribution: null, error: { code: 'UNREACHABLE' } });
    expect(stderr).toContain(`cannot reach the controller at ${controller}: is it running? start one with "sluice up"`);
  });

  test('in a directory a refused file stops no other, and the whole failed', async () => {
    await using dir = await temporaryDirectory();
    for (const name of ['a', 'bad', 'c']) await writeFile(join(dir.path, name), name);
    await using origin = await service((request, response) => {
      if (request.url === '/site/bad')
        response.writeHead(400, { connection: 'close' }).end('{"error":{"code":"NO","message":"not this one"}}');
      else accept(request, response);
    });
    const { exitCode, stderr, io } = await sluice('put', dir.path, 'site', '--json', '--origin', origin.url);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('the origin refused to store site/bad: not this one');
    expect(io.documents.map(({ key, id, error }) => [key, id ?? (error as { code: string }).code]).sort()).toEqual([
      ['site/a', 'e-1'],
      ['site/bad', 'NO'],
      ['site/c', 'e-1'],
    ]);
  });

  test('names that cannot be keys are all named before anything is put', async () => {
    await using dir = await temporaryDirectory();
    for (const name of ['fine', 'line\nbreak', `\u0001`]) await writeFile(join(dir.path, name), '');
    const { exitCode, stderr } = await sluice('put', dir.path, 'site', '--origin', 'http://127.0.0.1:9');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('nothing was put; rename these files first');
    expect(stderr.match(/contains a control character/g)).toHaveLength(2);
  });
});

describe('get', () => {
  const sha256 = createHash('sha256').update('hello').digest('hex');
  const cases: [string, (response: ServerResponse) => void, string][] = [
    [
      'breaks off',
      (response) => {
        response.writeHead(200, { 'content-length': 5 });
        response.write('hel', () => response.socket?.destroy());
      },
      'of 5 bytes; get it again',
    ],
    [
      'is not what its entity tag says',
      (response) => response.writeHead(200, { etag: `"${sha256}"` }).end('hellO'),
      'does not have the checksum that was announced',
    ],
    [
      'is an error',
      (response) => response.writeHead(503).end('{"error":{"code":"BUSY","message":"come again"}}'),
      'refused to give site/a: come again',
    ],
  ];
  test.each(cases)('an answer that %s leaves no file', async (_name, answer, message) => {
    await using dir = await temporaryDirectory();
    await using edge = await service((_request, response) => answer(response));
    const { exitCode, stderr } = await sluice('get', 'site/a', '-o', join(dir.path, 'a'), '--edge', edge.url);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(message)]);
    expect(await readdir(dir.path)).toEqual([]);
  });

  test('bytes with a Content-Encoding are kept as they were sent, on stdout and in a directory', async () => {
    await using dir = await temporaryDirectory();
    await using origin = await service((_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip', etag: `"${sha256}"` }).end('hello'),
    );
    expect(await sluice('get', 'site/x/a', '--origin', origin.url)).toMatchObject({ exitCode: 0, stdout: 'hello' });
    expect(await sluice('get', 'site/x/a', '--origin', origin.url, '-o', dir.path)).toMatchObject({ exitCode: 0 });
    expect(await readFile(join(dir.path, 'a'), 'utf8')).toBe('hello');
  });

  test('Ctrl-C in the middle ends it and leaves no file', async () => {
    await using dir = await temporaryDirectory();
    const io = new CapturedIo();
    await using origin = await service((_request, response) => {
      response.writeHead(200, { 'content-length': 5 });
      response.write('hel', () => setImmediate(() => io.interrupt()));
    });
    expect(await runProgram(['get', 'site/a', '-o', join(dir.path, 'a'), '--origin', origin.url], io)).toBe(1);
    expect(io.stderr.text).toBe('error: interrupted; nothing was kept\n');
    expect(await readdir(dir.path)).toEqual([]);
    expect(io.interruptListeners).toBe(0);
  });
});

describe('exit codes of what is answered', () => {
  const incomplete = state({
    complete: false,
    edges: [{ edge: 'us-1', region: 'US', outcome: 'failed', bytes: 0, ms: 1, attempts: 4, error: 'no' }],
  });
  const cases: [string, string[], (request: IncomingMessage, response: ServerResponse) => void, number, string][] = [
    ['an event not everywhere', ['status', 'e-1'], (_, response) => response.end(JSON.stringify(incomplete)), 4, ''],
    ['an event under way', ['status', 'e-1'], (_, response) => response.end(JSON.stringify({ ...state(), status: 'distributing' })), 4, ''],
    ['an event everywhere', ['status', 'e-1'], (_, response) => response.end(JSON.stringify(state())), 0, ''],
    ['an unknown event', ['status', 'e-1'], (_, response) => response.writeHead(404).end('{}'), 3, 'knows no event e-1'],
    ['something that is no controller', ['edges'], (_, response) => response.end('<html>'), 1, 'check the address'],
    ['JSON of something else', ['edges'], (_, response) => response.end('{"edges":[{"id":1}]}'), 1, 'check the address'],
    ['a removal of nothing', ['rm', 'site/a'], (_, response) => response.writeHead(204).end(), 3, 'there is no site/a'],
    [
      'an upload without an event',
      ['put', import.meta.filename, 'site/a'],
      (request, response) => request.resume().once('end', () => response.end()),
      1,
      'check the address',
    ],
    ['a wait that times out', ['rm', 'site/a', '--wait', '--timeout', '0.1'], removedNeverDistributed, 4, 'not everywhere after 100ms'],
    ['an event never heard of', ['rm', 'site/a', '--wait', '--timeout', '0'], removedNeverHeardOf, 4, 'has not heard of event e-1'],
  ];
  test.each(cases)('%s', async (_name, args, answer, expected, message) => {
    await using server = await service(answer);
    const { exitCode, stderr } = await sluice(...args, '--origin', server.url, '--controller', server.url);
    expect(stderr).toContain(message);
    expect(exitCode).toBe(expected);
  });

  function removedNeverDistributed(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'DELETE') response.writeHead(204, STORED).end();
    else response.end(JSON.stringify({ ...state({ complete: false, pending: [{ edge: 'eu-1', region: 'EU' }] }), status: 'distributing' }));
  }
  function removedNeverHeardOf(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(request.method === 'DELETE' ? 204 : 404, STORED).end();
  }
});

describe('what cannot be reached', () => {
  test('each service is named with its address and what to do, exit 5', async () => {
    const nowhere = `127.0.0.1:${await freePort()}`;
    const http = `http://${nowhere}`;
    const cases: [string[], string][] = [
      [
        ['get', 'site/a', '--origin', http],
        `cannot reach the origin at ${http}: is it running? start one with "sluice up", or say where it is with --origin`,
      ],
      [['edges', '--controller', http], `cannot reach the controller at ${http}: is it running?`],
      [['get', 'site/a', '--edge', http], `cannot reach the edge at ${http}: is it running?`],
      [['watch', '--nats', nowhere], `cannot reach the broker at ${nowhere}: is it running?`],
    ];
    for (const [args, message] of cases) {
      const { exitCode, stderr } = await sluice(...args);
      expect([exitCode, stderr]).toEqual([5, expect.stringContaining(message)]);
      expect(stderr).not.toMatch(/\n\s+at /);
    }
  });
  test('the address is shown without the user and the password in it', async () => {
    const nowhere = `127.0.0.1:${await freePort()}`;
    for (const args of [
      ['get', 'site/a', '--origin', `http://user:hush@${nowhere}`],
      ['edges', '--controller', `http://user:hush@${nowhere}`],
      ['watch', '--nats', `nats://user:hu@sh@${nowhere}`],
    ]) {
      const { exitCode, stderr } = await sluice(...args);
      expect([exitCode, stderr]).toEqual([5, expect.stringMatching(new RegExp(` at \\w+://${nowhere}: `))]);
      expect(stderr).not.toMatch(/hu@?sh|sh@|user/);
    }
  });
});
