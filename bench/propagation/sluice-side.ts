import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { Bus } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, type ContentDistributed, isConfirmed } from '@sluice/contracts';
import { Stack } from '@sluice/stack';

/** Longest wait for one event to be confirmed everywhere. */
const CONFIRM_TIMEOUT_MS = 60_000;

/** A Sluice with its edges as processes, and an ear for outcomes. */
export class SluiceSide implements AsyncDisposable {
  readonly stack: Stack;
  readonly #bus: Bus;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #outcomes = new Map<string, ContentDistributed>();
  readonly #waiting = new Map<string, (outcome: ContentDistributed) => void>();

  private constructor(stack: Stack, bus: Bus) {
    this.stack = stack;
    this.#bus = bus;
    bus.subscribe(CONTENT_DISTRIBUTED, (outcome) => {
      const waiting = this.#waiting.get(outcome.id);
      this.#waiting.delete(outcome.id);
      if (waiting === undefined) this.#outcomes.set(outcome.id, outcome);
      else waiting(outcome);
    });
  }

  static async start(dataDir: string, edges: number): Promise<SluiceSide> {
    const regions = ['US', 'EU', 'IN'];
    const stack = await Stack.start({
      dataDir,
      edges: Array.from({ length: edges }, (_, index) => ({ id: `edge-${index + 1}`, region: regions[index % regions.length] as string })),
    });
    const log = { info() {}, warn() {}, error() {} };
    return new SluiceSide(stack, await Bus.connect({ servers: [stack.natsUrl], name: 'bench', log }));
  }

  /** Uploads; resolves to the event's id when the origin has answered. */
  async upload(key: string, body: Uint8Array): Promise<string> {
    const { status, headers, text } = await this.#send('PUT', `/${key}`, body);
    if (status !== 200) throw new Error(`upload of ${key}: ${status} ${text}`);
    return headers['x-sluice-event-id'] as string;
  }

  /** Invalidates one key; resolves to the event's id when the origin has answered. */
  async invalidate(key: string): Promise<string> {
    const { status, text } = await this.#send('POST', '/-/invalidations', Buffer.from(JSON.stringify({ key })));
    if (status !== 202) throw new Error(`invalidation of ${key}: ${status} ${text}`);
    return (JSON.parse(text) as { id: string }).id;
  }

  /** One request on a kept connection; with little work of its own, because the client shares the machine with what is measured. */
  #send(method: string, path: string, body: Uint8Array): Promise<{ status: number; headers: IncomingHttpHeaders; text: string }> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-length': body.byteLength };
      const sent = request({ agent: this.#agent, host: '127.0.0.1', port: this.stack.origin.port, method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString('utf8') }),
        );
      });
      sent.once('error', reject);
      sent.end(body);
    });
  }

  /** Resolves when every edge has confirmed the event. @throws when one has not */
  async confirmed(eventId: string): Promise<ContentDistributed> {
    const outcome = this.#outcomes.get(eventId) ?? (await this.#wait(eventId));
    this.#outcomes.delete(eventId);
    const confirmed = outcome.edges.filter((edge) => isConfirmed(edge.outcome)).length;
    if (confirmed !== this.stack.edges.size)
      throw new Error(`${eventId}: ${confirmed} of ${this.stack.edges.size} edges confirmed: ${JSON.stringify(outcome.edges)}`);
    return outcome;
  }

  #wait(eventId: string): Promise<ContentDistributed> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${eventId} was not confirmed within ${CONFIRM_TIMEOUT_MS} ms`)), CONFIRM_TIMEOUT_MS);
      this.#waiting.set(eventId, (outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.#bus.close();
    await this.stack.stop();
  }
}
