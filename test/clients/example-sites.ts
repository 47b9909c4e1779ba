/** The sites of deploy/sites.example.yaml over HTTPS: a stack of processes with one edge, as browsers and curl meet it. */
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { freePort, type Member, Stack } from '@sluice/stack';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { expect } from 'vitest';
import { makeCertificate, writeCertificate } from '../../apps/edge/src/certificates.fixture.ts';
import { sitesExampleWithHttps } from '../../apps/edge/src/sites-example.fixture.ts';
import { distributionOf, upload } from '../cdn.ts';

const EDGE = 'us-1';

export class ExampleSites {
  readonly stack: Stack;
  /** Where the edge speaks TLS, on 127.0.0.1. Visitors are sent to port 443. */
  readonly tlsPort: number;
  /** Of the authority that has signed the certificates: its file, PEM. */
  readonly authorityFile: string;
  /** SHA-256 of the public keys of the certificates, base64. */
  readonly publicKeyHashes: readonly string[];
  readonly #authority: string;
  readonly #cleanup: AsyncDisposableStack;

  private constructor(
    stack: Stack,
    tlsPort: number,
    authorityFile: string,
    certificates: readonly string[],
    cleanup: AsyncDisposableStack,
  ) {
    this.stack = stack;
    this.tlsPort = tlsPort;
    this.authorityFile = authorityFile;
    this.#authority = certificates[0] as string;
    this.publicKeyHashes = certificates.map(publicKeyHash);
    this.#cleanup = cleanup;
  }

  static async start(): Promise<ExampleSites> {
    await using cleanup = new AsyncDisposableStack();
    const { path } = cleanup.use(await temporaryDirectory());
    const authority = await makeCertificate({ isAuthority: true });
    const www = await makeCertificate({ dnsNames: ['www.example.com', 'example.com'], signedBy: authority });
    // Covers www.example.com too, as a wildcard often does.
    const others = await makeCertificate({ dnsNames: ['*.example.com', '*.app.example.com'], signedBy: authority });
    await mkdir(join(path, 'certificates'));
    await writeCertificate(join(path, 'certificates'), 'www.example.com', www);
    const files = await writeCertificate(path, 'others', others);
    const authorityFile = join(path, 'authority.crt');
    await writeFile(authorityFile, authority.certificate);
    const sitesFile = join(path, 'sites.yaml');
    await writeFile(sitesFile, await sitesExampleWithHttps());
    const tlsPort = await freePort();
    const env = {
      EDGE_TLS_PORT: String(tlsPort),
      EDGE_TLS_CERT_FILE: files.certificate,
      EDGE_TLS_KEY_FILE: files.key,
      EDGE_SITES_FILE: sitesFile,
    };
    const stack = cleanup.use(await Stack.start({ dataDir: join(path, 'data'), edges: [{ id: EDGE, region: 'US', env }] }));
    const certificates = [authority, www, others].map(({ certificate }) => certificate);
    return new ExampleSites(stack, tlsPort, authorityFile, certificates, cleanup.move());
  }

  get edge(): Member {
    return this.stack.edge(EDGE);
  }

  /** Uploads, and resolves when the edge has confirmed it. @returns the version */
  async publish(key: string, body: string | Uint8Array, headers: Readonly<Record<string, string>>): Promise<number> {
    const { id, version } = await upload(this.stack.origin.url, key, Buffer.from(body), headers);
    const outcome = await eventually(() => distributionOf(this.stack.controller.url, id));
    expect(outcome).toMatchObject({ complete: true, edges: [{ edge: EDGE }] });
    return version;
  }

  /** Resolves when the edge has the coded forms of all of these, which follow an upload. */
  async whenCoded(...urls: readonly string[]): Promise<void> {
    for (const url of urls) {
      for (const coding of ['br', 'zstd', 'gzip']) {
        await eventually(async () => expect((await this.#head(url, coding)).headers['content-encoding']).toBe(coding), 30_000);
      }
    }
  }

  async #head(url: string, coding: string): Promise<IncomingMessage> {
    const { host, hostname, pathname } = new URL(url);
    const sent = request({
      ...{ host: '127.0.0.1', port: this.tlsPort, servername: hostname, ca: this.#authority, agent: false },
      ...{ method: 'HEAD', path: pathname, headers: { host, 'accept-encoding': coding } },
    });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.resume();
    return response;
  }

  /** Leaves the edge alone. */
  async stopAllButTheEdge(): Promise<void> {
    await Promise.all([this.stack.origin.stop(), this.stack.controller.stop()]);
    await this.stack.broker.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cleanup.disposeAsync();
  }
}

function publicKeyHash(certificate: string): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}
