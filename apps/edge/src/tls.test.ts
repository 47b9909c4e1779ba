/** The port for TLS as clients meet it: HTTP/2 and HTTP/1.1, certificates by host name, redirects, renewal. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2';
import { request as requestHttps } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BlobReader } from '@sluice/blobs';
import { ConfigError, createLogger, readConfig, systemClock } from '@sluice/runtime';
import { ManagedProcess } from '@sluice/stack';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test, vi } from 'vitest';
import { followConfigFiles } from './adapters/config-files.ts';
import { makeCertificate, replaceFile, type TestCertificate, writeCertificate } from './certificates.fixture.ts';
import { edgeVariables } from './config.ts';
import { Scene } from './scene.fixture.ts';

const run = promisify(execFile);
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

interface Options {
  /** Of the edge; absent: one for localhost and *.example.com. */
  readonly own?: TestCertificate;
  readonly sites?: string;
  readonly variables?: Readonly<Record<string, string>>;
  /** Certificates beside the sites file, by the name that it has for them. */
  readonly files?: Readonly<Record<string, TestCertificate>>;
}

/** One request over plain HTTP/1.1 with these fields. */
async function fetchPlain(url: string, headers: Record<string, string>) {
  const [response] = (await once(requestHttp(url, { headers, agent: false }).end(), 'response')) as [IncomingMessage];
  await buffer(response);
  return { status: response.statusCode, headers: response.headers };
}

async function tlsScene({ own, sites, variables, files = {} }: Options = {}) {
  const dir = await temporaryDirectory();
  const certificate = own ?? (await makeCertificate({ dnsNames: ['localhost', '*.example.com'] }));
  const paths = await writeCertificate(dir.path, 'own', certificate);
  for (const [name, file] of Object.entries(files)) await writeCertificate(dir.path, name, file);
  const sitesFile = join(dir.path, 'sites.yaml');
  if (sites !== undefined) await replaceFile(sitesFile, sites);
  const scene = await Scene.start({
    EDGE_TLS_PORT: '0',
    EDGE_TLS_CERT_FILE: paths.certificate,
    EDGE_TLS_KEY_FILE: paths.key,
    ...(sites === undefined ? {} : { EDGE_SITES_FILE: sitesFile }),
    ...variables,
  });
  const port = () => scene.edge?.tlsPort ?? 0;
  const begin = (options: ConnectionOptions): TLSSocket =>
    connectTls({ host: '127.0.0.1', port: port(), servername: 'localhost', rejectUnauthorized: false, ...options });
  const sessions: ClientHttp2Session[] = [];
  const trusted = () => [certificate, ...Object.values(files)].map((file) => file.certificate);
  return {
    ...{ scene, dir: dir.path, sitesFile, certificate, port, trusted },
    upload: (key: string, body: string | Buffer, fields = {}) =>
      scene.pushStore(scene.origin.upload(key, Buffer.from(body), { contentType: 'text/plain', ...fields })),
    /** Replaces the edge's own certificate, and waits until the new one is in use. */
    async renew(next: TestCertificate) {
      const renewals = () => scene.said('info').filter((message) => message === 'certificate renewed').length;
      const before = renewals();
      await writeCertificate(dir.path, 'own', next);
      await eventually(() => expect(renewals()).toBe(before + 1));
    },
    /** One request over plain HTTP/1.1. */
    async plain(host: string, path: string, method = 'GET') {
      const sent = requestHttp({ host: '127.0.0.1', port: scene.edge?.port, path, method, headers: { host }, agent: false }).end();
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      const body = (await buffer(response)).toString();
      return { status: response.statusCode, location: response.headers.location, headers: response.headers, body };
    },
    begin,
    async handshake(options: ConnectionOptions = {}): Promise<TLSSocket> {
      const socket = begin(options);
      await once(socket, 'secureConnect');
      return socket;
    },
    session(serverName = 'localhost', options: object = {}): ClientHttp2Session {
      const session = connectHttp2(`https://127.0.0.1:${port()}`, { ca: trusted(), servername: serverName, ...options });
      session.on('error', () => {}); // it ends, and its streams say so
      sessions.push(session);
      return session;
    },
    async https(path: string, headers: Record<string, string> = {}, options: object = {}) {
      const sent = requestHttps({
        host: '127.0.0.1',
        port: port(),
        path,
        headers,
        ca: trusted(),
        servername: 'localhost',
        agent: false,
        ...options,
      });
      sent.end();
      const [response] = await once(sent, 'response');
      return { status: response.statusCode as number, headers: response.headers, body: (await buffer(response)).toString() };
    },
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await scene[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** One request over HTTP/2. */
async function get(session: ClientHttp2Session, path: string, fields: Record<string, string | string[]> = {}) {
  const stream = session.request({ ':path': path, ':authority': 'localhost', ...fields });
  stream.end();
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }];
  const body = await buffer(stream);
  return { status: headers[':status'], headers, body };
}

test('one object is the same over HTTP/1.1, HTTP/1.1 over TLS and HTTP/2', async () => {
  await using it = await tlsScene();
  await it.upload('site/a.txt', 'content of a', { cacheControl: 'max-age=60', meta: { by: 'me' } });
  const plain = await it.scene.get('site/a.txt');
  const https = await it.https('/site/a.txt', { host: 'localhost' });
  const http2 = await get(it.session(), '/site/a.txt');
  expect([plain.status, https.status, http2.status]).toEqual([200, 200, 200]);
  expect([https.body, http2.body.toString()]).toEqual(['content of a', 'content of a']);
  const told = (headers: object) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => !/^(?:date|age|connection|keep-alive|:status)$/.test(name)));
  const expected = told(Object.fromEntries(plain.headers));
  expect(told(https.headers)).toEqual(expected);
  expect(told(http2.headers)).toEqual(expected);
  expect(expected).toMatchObject({
    'cache-status': 'us-1;hit;ttl=60',
    'content-length': '12',
    'repr-digest': expect.stringMatching(/^sha-256=:/),
  });
});

test('HEAD, conditions, ranges of one part and of several, and errors are the same over HTTP/2 as over HTTP/1.1', async () => {
  await using it = await tlsScene();
  await it.upload('site/a.txt', 'content of a');
  const session = it.session();
  const etag = String((await get(session, '/site/a.txt')).headers.etag);
  const requests: [string, Record<string, string>][] = [
    ['/site/a.txt', { ':method': 'HEAD' }],
    ['/site/a.txt', { 'if-none-match': etag }],
    ['/site/a.txt', { 'if-match': '"x"' }],
    ['/site/a.txt', { range: 'bytes=2-4' }],
    ['/site/a.txt', { range: 'bytes=90-' }],
    ['/site/none', {}],
    ['/site/%zz', {}],
    ['/site/a.txt', { ':method': 'DELETE' }],
    ['/site/a.txt', { ':method': 'OPTIONS' }],
    ['*', { ':method': 'OPTIONS' }],
    ['/healthz', {}],
  ];
  for (const [path, fields] of requests) {
    const { ':method': method = 'GET', ...headers } = fields;
    // What is said of the first one who asks for what is not there is not said of the second.
    if (path === '/site/none') await get(session, path);
    const one = await it.https(path, { host: 'localhost', ...headers }, { method });
    const two = await get(session, path, fields);
    const shape = (status: number, got: object, body: string) => {
      const {
        date: _date,
        connection: _connection,
        ':status': _status,
        age: _age,
        'keep-alive': _keep,
        ...rest
      } = got as Record<string, string>;
      return { path, fields, status, body, rest };
    };
    const { ':status': status, ...got } = two.headers as typeof two.headers & { ':status': number };
    // A response to HEAD says how long the body would be; one without a body over HTTP/1.1 says how it is framed.
    const framing = (told: object) => ({ ...Object.fromEntries(Object.entries(told)), 'transfer-encoding': undefined });
    expect(shape(status, framing(got), two.body.toString())).toEqual(shape(one.status, framing(one.headers), one.body));
  }
  const parts = await get(session, '/site/a.txt', { range: 'bytes=0-1,9000-,11-11' });
  expect([parts.status, parts.headers['content-type'] ?? '']).toEqual([206, 'text/plain']);
  await it.upload('site/b.txt', 'x'.repeat(1_000));
  const several = await get(session, '/site/b.txt', { range: 'bytes=0-1,900-901' });
  expect([several.status, several.body.byteLength]).toEqual([206, Number(several.headers['content-length'])]);
  expect(several.headers['content-type']).toMatch(/^multipart\/byteranges; boundary=/);
});

test('several fields of a name are one list, as over HTTP/1.1', async () => {
  await using it = await tlsScene();
  await it.upload('site/a.txt', 'content of a');
  const session = it.session();
  const etag = String((await get(session, '/site/a.txt')).headers.etag);
  // Node's client joins a list itself: the fields are sent apart by a client that lets them be.
  const { stdout } = await run('curl', [
    ...['--silent', '--insecure', '--http2', '--output', '/dev/null', '--write-out', '%{http_version} %{http_code}'],
    ...['--header', 'If-None-Match: "x"', '--header', `If-None-Match: ${etag}`, `https://localhost:${it.port()}/site/a.txt`],
  ]);
  expect(stdout).toBe('2 304');
});

test('curl verifies the certificate and speaks HTTP/2, HTTP/1.1 where that is all it knows, and TLS 1.2 or newer', async () => {
  await using it = await tlsScene();
  await it.upload('site/a.txt', 'content of a');
  const curl = async (...options: string[]) => {
    const { stdout } = await run('curl', [
      ...['--silent', '--show-error', '--cacert', join(it.dir, 'own.crt'), '--write-out', ' %{http_version} %{http_code}'],
      ...[...options, `https://localhost:${it.port()}/site/a.txt`],
    ]);
    return stdout;
  };
  expect(await curl('--http2')).toBe('content of a 2 200');
  expect(await curl('--http1.1')).toBe('content of a 1.1 200');
  expect(await curl('--no-alpn')).toBe('content of a 1.1 200');
  expect(await curl('--http2', '--tls-max', '1.2')).toBe('content of a 2 200');
  expect(await curl('--http2', '--range', '0-6')).toBe('content 2 206');
  await expect(curl('--tls-max', '1.1', '--ciphers', 'ALL:@SECLEVEL=0')).rejects.toThrow(/alert|protocol version/);
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'a session of %s is resumed, also with a certificate of a site and after a renewal',
  async (version) => {
    const www = await makeCertificate({ dnsNames: ['www.example.org'] });
    await using it = await tlsScene({
      sites: 'sites: [{ name: www, hosts: [www.example.org], bucket: site, tls: { certificate: www.crt, key: www.key } }]',
      files: { www },
    });
    const options = { minVersion: version, maxVersion: version, ALPNProtocols: ['http/1.1'] } as const;
    const visit = async (servername: string, session?: Buffer) => {
      const socket = it.begin({ ...options, servername, ...(session && { session }) });
      // With TLS 1.3 tickets come after the handshake, and may come with the end of it.
      let ticket: Buffer | undefined;
      socket.on('session', (sent) => {
        ticket = sent;
      });
      await once(socket, 'secureConnect');
      socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      socket.resume();
      const reused = socket.isSessionReused();
      await once(socket, 'close');
      return { reused, ticket };
    };
    for (const host of ['localhost', 'www.example.org']) {
      const first = await visit(host);
      expect(first.reused).toBe(false);
      const second = await visit(host, first.ticket);
      expect([host, second.reused]).toEqual([host, true]);
      await it.renew(await makeCertificate());
      expect([host, (await visit(host, first.ticket)).reused]).toEqual([host, true]);
    }
  },
);

test('a host name has the certificate of its site, others that of the edge, and names beside it are answered by what the certificate covers', async () => {
  const names = { www: ['www.example.org', 'other.example.org'], wild: ['*.app.example.org'] };
  const [www, wild] = [await makeCertificate({ dnsNames: names.www }), await makeCertificate({ dnsNames: names.wild })];
  await using it = await tlsScene({
    sites: `
sites:
  - { name: www, hosts: [www.example.org], bucket: site, tls: { certificate: www.crt, key: www.key } }
  - { name: wild, hosts: ["*.app.example.org"], bucket: site, tls: { certificate: wild.crt, key: wild.key } }
  - { name: other, hosts: [other.example.org, third.example.org, x.example.com], bucket: site }
`,
    files: { www, wild },
  });
  await it.upload('site/a.txt', 'a');
  const nameOf = async (servername: string) => {
    const socket = await it.handshake({ servername });
    const { subjectaltname } = socket.getPeerCertificate();
    socket.destroy();
    return subjectaltname;
  };
  expect(await nameOf('www.example.org')).toBe('DNS:www.example.org, DNS:other.example.org');
  expect(await nameOf('WWW.example.org')).toBe('DNS:www.example.org, DNS:other.example.org');
  expect(await nameOf('x.app.example.org')).toBe('DNS:*.app.example.org');
  for (const servername of ['other.example.org', 'third.example.org', 'unknown.org', '']) {
    expect([servername, await nameOf(servername)]).toEqual([servername, 'DNS:localhost, DNS:*.example.com']);
  }
  const session = it.session('www.example.org');
  const status = async (authority: string) => (await get(session, '/a.txt', { ':authority': authority })).status;
  expect(await status('www.example.org')).toBe(200);
  expect(await status('www.example.org:8443')).toBe(200);
  // Covered by the certificate in use, though its own would be another (RFC 9113 §9.1.1).
  expect(await status('other.example.org')).toBe(200);
  expect(await status('third.example.org')).toBe(421);
  expect(await status('x.app.example.org')).toBe(421);
  const options = { servername: 'www.example.org' };
  expect((await it.https('/a.txt', { host: 'third.example.org' }, options)).status).toBe(421);
  expect((await it.https('http://third.example.org/a.txt', { host: 'www.example.org' }, options)).status).toBe(421);
  // The same certificate as the name of the handshake would have.
  expect((await it.https('/a.txt', { host: 'third.example.org' }, { rejectUnauthorized: false, servername: 'x.example.com' })).status).toBe(
    200,
  );
});

test('without a certificate of the edge, only names of sites that have one are spoken to', async () => {
  const www = await makeCertificate({ dnsNames: ['www.example.org'] });
  await using dir = await temporaryDirectory();
  await writeCertificate(dir.path, 'www', www);
  const file = join(dir.path, 'sites.yaml');
  await replaceFile(file, 'sites: [{ name: www, hosts: [www.example.org], bucket: site, tls: { certificate: www.crt, key: www.key } }]');
  await using scene = await Scene.start({ EDGE_TLS_PORT: '0', EDGE_SITES_FILE: file });
  const handshake = async (servername: string) => {
    const socket = connectTls({ host: '127.0.0.1', port: scene.edge?.tlsPort ?? 0, servername, ca: www.certificate });
    await once(socket, 'secureConnect');
    socket.destroy();
  };
  await handshake('www.example.org');
  await expect(handshake('unknown.org')).rejects.toThrow(/alert/);
  await expect(handshake('')).rejects.toThrow(/alert/);
});

test('the scheme that a trusted proxy tells counts before that of its own connection', async () => {
  const sites = 'sites: [{ name: www, hosts: [www.example.com], bucket: site, httpsRedirect: true, hsts: { maxAgeSeconds: 300 } }]';
  await using it = await tlsScene({ sites, variables: { EDGE_TRUSTED_PROXIES: 'loopback' } });
  await it.upload('site/a', 'content');
  const session = it.session('www.example.com');
  for (const [scheme, expected] of [
    ['https', [200, undefined, 'max-age=300']],
    ['http', [301, `https://www.example.com:${it.port()}/a`, undefined]],
  ] as const) {
    const fields = { host: 'www.example.com', 'x-forwarded-proto': scheme };
    const overPlain = await fetchPlain(it.scene.url('a'), fields);
    const overTls = await it.https('/a', fields, { servername: 'www.example.com' });
    const { host, ...others } = fields;
    const overHttp2 = await get(session, '/a', { ':authority': host, ...others });
    for (const { status, headers } of [overPlain, overTls, overHttp2]) {
      expect([status, headers.location, headers['strict-transport-security']]).toEqual(expected);
    }
  }
});

test('plain HTTP is sent to HTTPS with path and query to the byte, but for the challenges of ACME; HSTS is said over TLS alone', async () => {
  await using it = await tlsScene({
    sites: `
sites:
  - { name: www, hosts: [www.example.com], bucket: site, index: index.html, httpsRedirect: true, headers: { X-A: b }, hsts: { maxAgeSeconds: 300, includeSubDomains: true } }
  - { name: mapped, hosts: ["*.mapped.example.com"], bucket: site, httpsRedirect: true, httpsPort: 443 }
  - { name: plain, hosts: [plain.example.com], bucket: site }
`,
  });
  await it.upload('site/index.html', 'home');
  await it.upload('site/.well-known/acme-challenge/token', 'token.thumbprint');
  const here = `https://www.example.com:${it.port()}`;
  for (const [path, location] of [
    ['/', `${here}/`],
    ['/a%2Fb/%7e/..;x?q=%20&r=a+b&&', `${here}/a%2Fb/%7e/..;x?q=%20&r=a+b&&`],
    ['//evil.org/%0d%0aX:y', `${here}//evil.org/%0d%0aX:y`],
    ['http://www.example.com/x?y', `${here}/x?y`],
    ['http://www.example.com?y', `${here}/?y`],
    ['/.well-known/acme-challenge', `${here}/.well-known/acme-challenge`],
  ] as const) {
    const { status, location: got } = await it.plain('www.example.com', path);
    expect([path, status, got]).toEqual([path, 301, location]);
  }
  expect((await it.plain('WWW.example.com:8080', '/', 'HEAD')).location).toBe(`https://WWW.example.com:${it.port()}/`);
  expect((await it.plain('a.mapped.example.com:8080', '/x')).location).toBe('https://a.mapped.example.com/x');
  expect((await it.plain('plain.example.com', '/index.html')).body).toBe('home');
  expect((await it.plain('www.example.com', '/.well-known/acme-challenge/token')).body).toBe('token.thumbprint');
  expect((await it.plain('www.example.com', '/.well-known/acme-challenge/none')).status).toBe(404);
  expect((await it.plain('www.example.com', '/healthz')).status).toBe(200);
  expect((await it.plain('www.example.com', '/', 'OPTIONS')).status).toBe(204);
  for (const path of ['/', '/.well-known/acme-challenge/token']) {
    const { headers } = await it.plain('www.example.com', path);
    expect([headers['strict-transport-security'], headers['x-a']]).toEqual([undefined, 'b']);
  }
  const session = it.session('www.example.com');
  for (const path of ['/', '/none', '/%zz']) {
    const { headers } = await get(session, path, { ':authority': 'www.example.com' });
    expect([path, headers['strict-transport-security'], headers['x-a']]).toEqual([path, 'max-age=300; includeSubDomains', 'b']);
    const https = await it.https(path, { host: 'www.example.com' }, { servername: 'www.example.com' });
    expect([path, https.headers['strict-transport-security']]).toEqual([path, 'max-age=300; includeSubDomains']);
  }
  const other = await it.https('/index.html', { host: 'plain.example.com' }, { servername: 'plain.example.com' });
  expect([other.status, other.headers['strict-transport-security']]).toEqual([200, undefined]);
  expect(await it.scene.metric('sluice_edge_requests_total{result="redirected"')).toBeGreaterThanOrEqual(8);
});

test('a request without a host has nowhere to be sent', async () => {
  await using it = await tlsScene({ sites: 'default: www\nsites: [{ name: www, bucket: site, httpsRedirect: true }]' });
  const socket = connectTcp(it.scene.edge?.port ?? 0, '127.0.0.1');
  socket.write('GET / HTTP/1.0\r\n\r\n');
  expect((await buffer(socket)).toString()).toMatch(/^HTTP\/1\.1 400 /);
});

test('a renewed certificate is used for new connections while the old ones go on; one that cannot be used is refused and the old one stays', async () => {
  const soon = await makeCertificate({ validForDays: 10 });
  await using it = await tlsScene({ own: soon });
  await it.upload('site/a.txt', 'content of a');
  expect(it.scene.said('warn')).toEqual(['the certificate expires soon']);
  const used = async () => {
    const socket = await it.handshake();
    const { valid_to: validTo } = socket.getPeerCertificate();
    socket.destroy();
    return Date.parse(validTo);
  };
  const expires = () => it.scene.metric('sluice_edge_certificate_expires_timestamp_seconds');
  const first = await used();
  expect(await expires()).toBe(first / 1000);
  const old = it.session();
  expect((await get(old, '/site/a.txt')).status).toBe(200);

  await it.renew(await makeCertificate({ validForDays: 60 }));
  const second = await used();
  expect(second).toBeGreaterThan(first);
  expect(await expires()).toBe(second / 1000);
  expect((await get(old, '/site/a.txt')).status).toBe(200);

  const problems = () => it.scene.failures.map(([fields]) => (fields as { problems: string[] }).problems);
  await replaceFile(join(it.dir, 'own.key'), (await makeCertificate()).key);
  await eventually(() =>
    expect(problems()).toEqual([[expect.stringMatching(/^EDGE_TLS_KEY_FILE: the key in .* does not belong to the first certificate/)]]),
  );
  await writeCertificate(it.dir, 'own', { certificate: 'nonsense', key: '-----BEGIN ENCRYPTED PRIVATE KEY-----' });
  await eventually(() =>
    expect(problems().at(-1)).toEqual([
      expect.stringMatching(/^EDGE_TLS_CERT_FILE: .* holds no certificate in PEM$/),
      expect.stringMatching(/^EDGE_TLS_KEY_FILE: .* holds an encrypted key; decrypt it/),
    ]),
  );
  expect(await used()).toBe(second);
  await it.renew(await makeCertificate({ validForDays: 90 }));
  expect(await used()).toBeGreaterThan(second);
});

test('a site that is added with a certificate that cannot be used is refused as a whole, which keeps no other certificate from being renewed', async () => {
  const sites = (more = '') => `sites:\n  - { name: a, hosts: [localhost], bucket: site }\n${more}`;
  await using it = await tlsScene({ sites: sites() });
  await it.upload('site/a.txt', 'content of a');
  await replaceFile(it.sitesFile, sites('  - { name: b, hosts: [b.org], bucket: site, tls: { certificate: none.crt, key: none.key } }\n'));
  const problems = () => it.scene.failures.map(([fields]) => (fields as { problems: string[] }).problems);
  await eventually(() =>
    expect(problems()).toEqual([
      [expect.stringMatching(/^site "b": tls\.certificate: ENOENT/), expect.stringMatching(/^site "b": tls\.key: ENOENT/)],
    ]),
  );
  await it.renew(await makeCertificate({ validForDays: 50 }));
  expect((await it.plain('b.org', '/a.txt')).status).toBe(404);
  // Once the file is there, the sites are taken without being written again.
  await writeCertificate(it.dir, 'none', await makeCertificate({ dnsNames: ['b.org'] }));
  process.emit('SIGHUP');
  await eventually(async () => expect((await it.plain('b.org', '/a.txt')).status).toBe(200));
  const socket = await it.handshake({ servername: 'b.org' });
  expect(socket.getPeerCertificate().subjectaltname).toBe('DNS:b.org');
  socket.destroy();
});

test('a chain is sent whole: a client that knows the root alone verifies it', async () => {
  const root = await makeCertificate({ isAuthority: true, dnsNames: ['root'] });
  const middle = await makeCertificate({ isAuthority: true, dnsNames: ['middle'], signedBy: root });
  const leaf = await makeCertificate({ signedBy: middle });
  await using it = await tlsScene({ own: { certificate: leaf.certificate + middle.certificate, key: leaf.key } });
  const socket = await it.handshake({ rejectUnauthorized: true, ca: root.certificate });
  expect(socket.authorized).toBe(true);
  socket.destroy();
});

describe('an edge that is to speak TLS and cannot', () => {
  test('says every problem at once and ends with 2', async () => {
    await using dir = await temporaryDirectory();
    const [one, two] = [await makeCertificate(), await makeCertificate()];
    const own = await writeCertificate(dir.path, 'own', { certificate: one.certificate, key: two.key });
    await replaceFile(
      join(dir.path, 'sites.yaml'),
      'sites: [{ name: www, hosts: [www.org], bucket: site, tls: { certificate: none.crt, key: own.key } }]',
    );
    const env = {
      ...{ EDGE_PORT: '8443', EDGE_TLS_PORT: '8443', EDGE_SITES_FILE: join(dir.path, 'sites.yaml'), EDGE_DATA_DIR: join(dir.path, 'data') },
      ...{ EDGE_TLS_CERT_FILE: own.certificate, EDGE_TLS_KEY_FILE: own.key },
    };
    const edge = new ManagedProcess({ name: 'edge', command: process.execPath, args: [join(import.meta.dirname, 'main.ts')], env });
    expect(await edge.ended).toBe('exited with 2');
    for (const problem of [
      'the configuration has 3 problems',
      'EDGE_TLS_PORT: must be another port than EDGE_PORT, 8443',
      'EDGE_TLS_KEY_FILE: the key in',
      'site "www": tls.certificate: ENOENT',
    ]) {
      expect(edge.tail).toContain(problem);
    }
  });

  const files = { EDGE_TLS_CERT_FILE: '/none/a.crt', EDGE_TLS_KEY_FILE: '/none/a.key' };
  test.each([
    [{ EDGE_TLS_PORT: '0' }, ['EDGE_TLS_PORT: needs a certificate']],
    [{ EDGE_TLS_PORT: '0', EDGE_TLS_CERT_FILE: '/none/a.crt' }, ['EDGE_TLS_KEY_FILE: must be set too']],
    [{ EDGE_TLS_PORT: '0', EDGE_TLS_KEY_FILE: '/none/a.key' }, ['EDGE_TLS_CERT_FILE: must be set too']],
    [{ EDGE_TLS_PORT: '0', ...files }, ['EDGE_TLS_CERT_FILE: ENOENT', 'EDGE_TLS_KEY_FILE: ENOENT']],
    [files, ['EDGE_TLS_CERT_FILE: is used on the port for TLS alone', 'EDGE_TLS_KEY_FILE: is used on the port for TLS alone']],
  ])('%j: %j', async (variables, problems) => {
    const config = readConfig(edgeVariables, variables, []);
    const refused = await followConfigFiles(config, systemClock, createLogger('edge', 'silent')).catch((error) => error);
    expect(refused).toBeInstanceOf(ConfigError);
    expect(refused.problems).toEqual(problems.map((problem) => expect.stringContaining(problem)));
  });

  test('an expired certificate is warned of, and used', async () => {
    await using it = await tlsScene({ own: await makeCertificate({ validFromMs: 0, validForDays: 1 }) });
    expect(it.scene.said('warn')).toEqual(['the certificate has expired']);
    (await it.handshake()).destroy();
  });

  test('a certificate that is not for the host names of its site is warned of', async () => {
    const www = await makeCertificate({ dnsNames: ['*.example.org'] });
    await using it = await tlsScene({
      sites:
        'sites: [{ name: w, hosts: ["*.example.org", a.b.example.org, example.org], bucket: site, tls: { certificate: www.crt, key: www.key } }]',
      files: { www },
    });
    expect(it.scene.said('warn')).toEqual(Array(2).fill('the certificate of the site is not for this host name'));
  });
});

describe('bodies over HTTP/2', () => {
  const count = 100;
  const bytes = 500_000;
  const bodyOf = (at: number) => Buffer.alloc(bytes, `${at}.`);

  test.each([
    ['in memory', {}],
    ['on disk', { EDGE_MEMORY_BYTES: '0' }],
  ])(
    'a hundred that are asked for at once, and are %s, all arrive whole',
    async (_where, variables) => {
      await using it = await tlsScene({ variables });
      for (let at = 0; at < count; at += 1) await it.upload(`site/${at}`, bodyOf(at));
      const session = it.session();
      const got = await Promise.all(Array.from({ length: count }, (_, at) => get(session, `/site/${at}`)));
      got.forEach(({ status, body }, at) => {
        expect([at, status, body.equals(bodyOf(at))]).toEqual([at, 200, true]);
      });
    },
    30_000,
  );

  test('a hundred that nobody reads hold a bounded part of the memory, and none is refused', async () => {
    await using it = await tlsScene({ variables: { EDGE_MEMORY_BYTES: '0' } });
    for (let at = 0; at < count; at += 1) await it.upload(`site/${at}`, bodyOf(at));
    const session = it.session('localhost', { settings: { initialWindowSize: 0 } });
    const buffers = () => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers;
    };
    await get(it.session(), '/site/0');
    const before = buffers();
    const streams = Array.from({ length: count }, (_, at) => session.request({ ':path': `/site/${at}`, ':authority': 'localhost' }));
    const statuses = await Promise.all(
      streams.map(async (stream) => ((await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }])[0][':status']),
    );
    expect(statuses).toEqual(Array(count).fill(200));
    // 50 MB in all; see `http2-exchange.ts` for what a session may hold. What was just read and is held no more may take another round of the collector.
    await eventually(() => expect(buffers() - before).toBeLessThan(12_000_000));
  }, 30_000);

  test('large ones arrive whole, several at once, also in a range', async () => {
    await using it = await tlsScene();
    const large = randomBytes(5_000_000);
    await it.upload('site/large', large);
    const session = it.session();
    const got = await Promise.all([
      get(session, '/site/large'),
      get(session, '/site/large', { range: 'bytes=1000000-4999999' }),
      get(session, '/site/large'),
    ]);
    expect(got.map(({ body }, at) => body.equals(at === 1 ? large.subarray(1_000_000) : large))).toEqual([true, true, true]);
  });

  test('a visitor who takes a request back is no failure, and holds nothing', async () => {
    await using it = await tlsScene();
    await it.upload('site/large', randomBytes(5_000_000));
    const session = it.session();
    for (let round = 0; round < 20; round += 1) {
      const stream = session.request({ ':path': '/site/large', ':authority': 'localhost' });
      stream.on('error', () => {});
      await once(stream, 'response');
      stream.close(constants.NGHTTP2_CANCEL);
      await once(stream, 'close');
    }
    expect((await get(session, '/site/large')).body.byteLength).toBe(5_000_000);
    expect(it.scene.failures).toEqual([]);
    expect(await it.scene.metric('sluice_edge_broken_bodies_total')).toBe(0);
  });

  test('curl takes a body that is cut off for one that is', async () => {
    await using it = await tlsScene();
    await it.upload('site/large', randomBytes(5_000_000));
    let fail = false;
    const { readInto } = BlobReader.prototype;
    const spy = vi.spyOn(BlobReader.prototype, 'readInto').mockImplementation(function (this: BlobReader, piece, offset) {
      if (fail && offset > 1_000_000) return Promise.reject(new Error('the disk is gone'));
      return readInto.call(this, piece, offset);
    });
    fail = true;
    const options = ['--silent', '--insecure', '--http2', '--output', '/dev/null', `https://localhost:${it.port()}/site/large`];
    await expect(run('curl', options)).rejects.toMatchObject({ code: 92 });
    spy.mockRestore();
    expect(await it.scene.metric('sluice_edge_broken_bodies_total')).toBe(1);
  });
});

test.each([
  ['Host and :authority differ', { ':authority': 'localhost', host: 'other.org' }, 400],
  ['Host and :authority differ in case alone', { ':authority': 'localhost', host: 'LocalHost' }, 200],
  ['a Host alone', { ':authority': undefined, host: 'localhost' }, 200],
  ['an :authority that is no host', { ':authority': 'localhost:123456' }, 400],
])('%s (RFC 9113 §8.3.1)', async (_what, fields, status) => {
  await using it = await tlsScene();
  await it.upload('site/a.txt', 'a');
  const given = Object.fromEntries(Object.entries({ ':path': '/site/a.txt', ...fields }).filter(([, value]) => value !== undefined));
  const stream = it.session().request(given);
  const [headers] = await once(stream, 'response');
  stream.resume();
  expect(headers[':status']).toBe(status);
});
