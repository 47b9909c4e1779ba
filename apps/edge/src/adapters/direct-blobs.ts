/** Whole blobs straight from the origin over HTTP, where this edge can reach it. A short cut: whatever fails here goes on over the broker. */

import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import type { Clock, Logger } from '@sluice/runtime';

/** A connection on which nothing moves for so long is given up. */
const IDLE_MS = 5_000;
/** After a failure to get through, how long the short cut is not tried. */
const UNUSABLE_MS = 30_000;
const CONNECTIONS_MAX = 8;

export class DirectBlobs {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX });
  #baseUrl: string | undefined;
  #unusableUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Where the origin says its blobs are; undefined: nowhere. */
  learn(baseUrl: string | undefined): void {
    if (baseUrl === this.#baseUrl) return;
    this.#baseUrl = baseUrl;
    this.#unusableUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** The bytes of a blob from its beginning, as far as they can be had this way: all, some or none. Never throws. */
  async *read(sha256: string, sizeBytes: number): AsyncGenerator<Uint8Array> {
    if (this.#baseUrl === undefined || this.#clock.monotonicMs() < this.#unusableUntilMs) return;
    let response: IncomingMessage | undefined;
    try {
      response = await this.#open(`${this.#baseUrl}/${sha256}`);
      if (response.statusCode !== 200 || Number(response.headers['content-length']) !== sizeBytes) return;
      for await (const chunk of response) yield chunk as Uint8Array;
    } catch (err) {
      this.#unusableUntilMs = this.#clock.monotonicMs() + UNUSABLE_MS;
      this.#log.info({ err, baseUrl: this.#baseUrl }, 'blobs cannot be read directly now, reading over the broker');
    } finally {
      // Also when the reader has had enough: what is left must not keep the connection.
      if (response?.complete === false) response.destroy();
      else response?.resume();
    }
  }

  async #open(url: string): Promise<IncomingMessage> {
    const request = get(url, { agent: this.#agent, timeout: IDLE_MS });
    request.once('timeout', () => request.destroy(new Error(`nothing moved for ${IDLE_MS} ms`)));
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    // From here on failures reach the reader of the response.
    request.on('error', () => {});
    return response;
  }

  close(): void {
    this.#agent.destroy();
  }
}
