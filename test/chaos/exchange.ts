/** One request over HTTP by a client that keeps its connections, and all of its answer. */
import { once } from 'node:events';
import { type Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';

export interface Asking {
  readonly agent: Agent;
  /** Default: GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
  /** Absent: it is waited for as long as the connection lasts. */
  readonly timeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly fields: IncomingHttpHeaders;
  /** `X-Sluice-Version`. */
  readonly version: number | undefined;
  readonly body: Buffer;
}

/** @throws when the connection ends, or the time, before the answer is whole */
export async function exchange(url: string, { agent, method = 'GET', headers = {}, body, timeoutMs }: Asking): Promise<Answer> {
  const sent = request(url, { agent, method, headers, ...(timeoutMs !== undefined && { signal: AbortSignal.timeout(timeoutMs) }) });
  const responded = once(sent, 'response') as Promise<[IncomingMessage]>;
  sent.end(body);
  const [response] = await responded;
  const version = Number(response.headers['x-sluice-version']);
  return {
    status: response.statusCode as number,
    fields: response.headers,
    version: Number.isSafeInteger(version) && version > 0 ? version : undefined,
    body: await buffer(response),
  };
}
