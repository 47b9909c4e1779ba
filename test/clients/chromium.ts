/** A real Chromium without a window, and what it says of its traffic. */
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { eventually } from '@sluice/testkit';
import { type Browser, type CDPSession, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** There is no Chromium. The message says what to run. */
export class ChromiumMissingError extends Error {
  constructor(detail: string) {
    super(
      `${detail}. Install it and try again: "sudo apt-get install chromium" (Debian), "brew install --cask chromium" (macOS), ` +
        'or name the program of another Chromium or Chrome in CHROME_PATH',
    );
    this.name = 'ChromiumMissingError';
  }
}

/** The path of a Chromium: `CHROME_PATH`, else the first on the `PATH`. @throws {ChromiumMissingError} */
export async function findChromium(env: Readonly<NodeJS.ProcessEnv> = process.env): Promise<string> {
  const named = env.CHROME_PATH;
  if (named !== undefined && named !== '') {
    if (await isProgram(named)) return named;
    throw new ChromiumMissingError(`CHROME_PATH is "${named}", which is no program`);
  }
  for (const directory of (env.PATH ?? '').split(delimiter)) {
    for (const name of NAMES) if (directory !== '' && (await isProgram(join(directory, name)))) return join(directory, name);
  }
  throw new ChromiumMissingError(`none of ${NAMES.join(', ')} was found on the PATH`);
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface ChromiumOptions {
  /** Where http:// and https:// of example.com and all names below it lead, on 127.0.0.1. No other name leads anywhere. */
  readonly ports: { readonly http: number; readonly https: number };
  /** The only certificates that it takes though it does not know who signed them: SHA-256 of their public keys, base64. */
  readonly publicKeyHashes: readonly string[];
}

/** @throws {ChromiumMissingError} */
export async function launchChromium({ ports, publicKeyHashes }: ChromiumOptions): Promise<Browser> {
  const rules = ['*.example.com', 'example.com'].flatMap((host) => [
    `MAP ${host}:80 127.0.0.1:${ports.http}`,
    `MAP ${host}:443 127.0.0.1:${ports.https}`,
  ]);
  return chromium.launch({
    executablePath: await findChromium(),
    chromiumSandbox: false, // needs rights that root and containers do not have; it sees pages of the tests alone
    args: [
      '--disable-gpu',
      '--disable-background-networking',
      '--autoplay-policy=no-user-gesture-required',
      `--host-resolver-rules=${[...rules, 'MAP * ~NOTFOUND'].join(', ')}`,
      `--ignore-certificate-errors-spki-list=${publicKeyHashes.join(',')}`,
    ],
  });
}

/** One request and its answer, as the browser saw them. What a redirect leads to is an exchange of its own. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  /** As it came: 304 though the page is given 200. 307 also where the browser itself goes to HTTPS. `undefined`: there was no answer. */
  readonly status: number | undefined;
  /** `h2`, `http/1.1`. */
  readonly protocol: string | undefined;
  /** Exchanges with the same came over the same connection. */
  readonly connection: number | undefined;
  /** Names in lower case. */
  readonly requestHeaders: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  /** From the browser's cache, without a question. */
  readonly fromCache: boolean;
  /** Of the answer, on the connection, fields included. */
  readonly wireBytes: number;
}

interface Hop {
  readonly id: string;
  method: string;
  url: string;
  status?: number;
  protocol?: string | undefined;
  connection?: number;
  requestHeaders: Record<string, string>;
  headers: Record<string, string>;
  /** From the cache in memory: then all else is told of the answer that was kept there. */
  fromMemory: boolean;
  fromDisk: boolean;
  wireBytes: number;
  /** Whether what came on the connection is told in an event of its own, which may come earlier or later. */
  hasExtra: boolean;
  done: boolean;
  /** Not given to the page, for example because CORS does not allow it. It may have been answered. */
  failed: boolean;
}

/** What a page reads from now on. */
export class Traffic {
  readonly #hops: Hop[] = [];
  readonly #sent = new Map<string, Record<string, string>[]>();
  readonly #received = new Map<string, { status: number; headers: Record<string, string> }[]>();

  private constructor(session: CDPSession) {
    session.on(
      'Network.requestWillBeSent',
      ({ requestId: id, request: { url, method, headers }, redirectResponse, redirectHasExtraInfo }) => {
        if (redirectResponse !== undefined) {
          const { status, protocol, encodedDataLength, headers: fields } = redirectResponse;
          this.#update(id, {
            status,
            protocol,
            headers: lowerCase(fields),
            wireBytes: encodedDataLength,
            hasExtra: redirectHasExtraInfo,
            done: true,
          });
        }
        const requestHeaders = lowerCase(headers);
        this.#hops.push({
          id,
          method,
          url,
          requestHeaders,
          headers: {},
          fromMemory: false,
          fromDisk: false,
          wireBytes: 0,
          hasExtra: false,
          done: false,
          failed: false,
        });
      },
    );
    session.on('Network.requestWillBeSentExtraInfo', ({ requestId, headers }) => append(this.#sent, requestId, lowerCase(headers)));
    session.on('Network.responseReceivedExtraInfo', ({ requestId, statusCode: status, headers }) =>
      append(this.#received, requestId, { status, headers: lowerCase(headers) }),
    );
    session.on('Network.requestServedFromCache', ({ requestId }) => this.#update(requestId, { fromMemory: true }));
    session.on('Network.responseReceived', ({ requestId, response, hasExtraInfo }) => {
      const { status, protocol, connectionId: connection, headers, fromDiskCache = false } = response;
      this.#update(requestId, {
        status,
        protocol,
        connection,
        headers: lowerCase(headers),
        hasExtra: hasExtraInfo,
        fromDisk: fromDiskCache,
      });
    });
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) =>
      this.#update(requestId, { wireBytes: encodedDataLength, done: true }),
    );
    session.on('Network.loadingFailed', ({ requestId }) => this.#update(requestId, { done: true, failed: true }));
  }

  static async of(page: Page): Promise<{ readonly traffic: Traffic; readonly session: CDPSession }> {
    const session = await page.context().newCDPSession(page);
    const traffic = new Traffic(session);
    await session.send('Network.enable');
    return { traffic, session };
  }

  #update(id: string, change: Partial<Hop>): void {
    const hop = this.#hops.findLast((other) => other.id === id);
    if (hop !== undefined) Object.assign(hop, change);
  }

  /** Forgets what was. */
  clear(): void {
    this.#hops.length = 0;
    this.#sent.clear();
    this.#received.clear();
  }

  /** Everything since the last {@link clear}, when all of it has ended. */
  settled(): Promise<readonly Exchange[]> {
    return eventually(() => {
      const pending = this.#hops.find(({ done }) => !done);
      if (pending !== undefined) throw new Error(`${pending.url} has not ended yet`);
      return this.#exchanges(this.#hops);
    });
  }

  /** The only exchange for a URL, when everything has ended. */
  async only(url: string): Promise<Exchange> {
    const found = (await this.settled()).filter((exchange) => exchange.url === url);
    if (found.length !== 1) throw new Error(`${found.length} exchanges for ${url}`);
    return found[0] as Exchange;
  }

  /** Those of a URL that have been answered so far, whether the answer has ended or not. @throws while the browser has not told all of one */
  answered(url: string): readonly Exchange[] {
    return this.#exchanges(this.#hops).filter((exchange) => exchange.url === url && exchange.status !== undefined);
  }

  #exchanges(hops: readonly Hop[]): Exchange[] {
    const places = new Map<string, number>();
    return hops
      .filter(({ url }) => url.startsWith('http'))
      .map((hop) => {
        const { id, method, url, protocol, connection, fromMemory, fromDisk, wireBytes, hasExtra, failed } = hop;
        if (fromMemory || !(hasExtra || failed)) {
          const { status, requestHeaders, headers } = hop;
          return { method, url, status, protocol, connection, requestHeaders, headers, fromCache: fromMemory || fromDisk, wireBytes };
        }
        const place = places.get(id) ?? 0;
        places.set(id, place + 1);
        const received = this.#received.get(id)?.[place];
        if (received === undefined && !failed) throw new Error(`the browser has not told all of ${url} yet`);
        const requestHeaders = this.#sent.get(id)?.[place] ?? hop.requestHeaders;
        const { status, headers } = received ?? { status: undefined, headers: {} };
        // It was asked for, whatever of the answer a 304 left in the cache.
        return { method, url, status, headers, protocol, connection, requestHeaders, fromCache: false, wireBytes };
      });
  }
}

function append<Value>(lists: Map<string, Value[]>, key: string, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function lowerCase(fields: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));
}
