import { Bus } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, type ContentDistributed, isConfirmed } from '@sluice/contracts';
import { Stack } from '@sluice/stack';

/** Longest wait for one event to be confirmed everywhere. */
const CONFIRM_TIMEOUT_MS = 60_000;

/** A Sluice with its edges as processes, and an ear for outcomes. */
export class SluiceSide implements AsyncDisposable {
  readonly stack: Stack;
  readonly #bus: Bus;
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
    const response = await fetch(`${this.stack.origin.url}/${key}`, { method: 'PUT', body: body as Uint8Array<ArrayBuffer> });
    if (!response.ok) throw new Error(`upload of ${key}: ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
    return response.headers.get('x-sluice-event-id') as string;
  }

  /** Invalidates one key; resolves to the event's id when the origin has answered. */
  async invalidate(key: string): Promise<string> {
    const response = await fetch(`${this.stack.origin.url}/-/invalidations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ key }),
    });
    if (!response.ok) throw new Error(`invalidation of ${key}: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { id: string }).id;
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
    await this.#bus.close();
    await this.stack.stop();
  }
}
