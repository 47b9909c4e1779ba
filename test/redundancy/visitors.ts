/** Visitors of a region behind something that shares them out to its edges, as a load balancer does: it asks `/readyz`, and sends nobody to one that is not ready. */
import { request } from 'node:http';
import type { Member } from '@sluice/stack';
import { eventually } from '@sluice/testkit';

export const CHECK_MS = 100;
const PROBLEMS_MAX = 20;
const REQUEST_TIMEOUT_MS = 15_000;

export class Visitors {
  readonly problems: string[] = [];
  answered = 0;
  readonly #edges: readonly Member[];
  readonly #keys: () => readonly string[];
  readonly #ready = new Set<Member>();
  readonly #running: Promise<void>[];
  #stopped = false;

  constructor(edges: readonly Member[], keys: () => readonly string[]) {
    this.#edges = edges;
    this.#keys = keys;
    for (const edge of edges) this.#ready.add(edge);
    this.#running = [...edges.map((edge) => this.#check(edge)), this.#visit(0), this.#visit(1)];
  }

  /** Resolves when visitors are sent to every edge. */
  async sentToAll(): Promise<void> {
    await eventually(() => {
      if (this.#ready.size < this.#edges.length) throw new Error('an edge is not ready');
    });
  }

  async #check(edge: Member): Promise<void> {
    while (!this.#stopped) {
      const isReady = await fetch(`${edge.url}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
        ({ ok }) => ok,
        () => false,
      );
      if (isReady) this.#ready.add(edge);
      else this.#ready.delete(edge);
      await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
    }
  }

  async #visit(first: number): Promise<void> {
    for (let turn = first; !this.#stopped; turn += 1) {
      const keys = this.#keys();
      const key = keys[turn % Math.max(1, keys.length)];
      const ready = this.#edges.filter((edge) => this.#ready.has(edge));
      const edge = ready[turn % Math.max(1, ready.length)];
      if (key !== undefined) await this.#ask(edge, key);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #ask(edge: Member | undefined, key: string): Promise<void> {
    try {
      if (edge === undefined) throw new Error('no edge is ready');
      const status = await statusOf(`${edge.url}/${key}`);
      if (status !== 200) throw new Error(`${edge.name}: ${status}`);
      this.answered += 1;
    } catch (error) {
      if (this.problems.length < PROBLEMS_MAX) this.problems.push(`${new Date().toISOString()} ${key}: ${(error as Error).message}`);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }
}

/** The status of a whole answer, on a connection of its own: a failed one is not asked again behind our back. @throws when it does not come complete */
function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { agent: false, timeout: REQUEST_TIMEOUT_MS }, (response) => {
      response.resume();
      response.once('error', reject);
      response.once('end', () => (response.complete ? resolve(response.statusCode) : reject(new Error('the answer was cut off'))));
    });
    asking.once('timeout', () => asking.destroy(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)));
    asking.once('error', reject);
    asking.end();
  });
}
