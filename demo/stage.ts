/** What the demo's scenarios share: a stack, an ear for outcomes, and checks that print their evidence. */
import { styleText } from 'node:util';
import { Bus } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, type ContentDistributed, type EdgeOutcome } from '@sluice/contracts';
import { type DirectorySpec, type Member, Stack } from '@sluice/stack';

/** Longest wait for anything the demo waits for. */
const PATIENCE_MS = 15_000;

/** What an edge answered to a visitor. */
export interface Visit {
  readonly status: number;
  /** Decoded. */
  readonly body: Buffer;
  /** The content coding that it came with, '' for none. */
  readonly coding: string;
  /** Bytes of the body as it came; NaN when that was not announced. */
  readonly contentLength: number;
  readonly cacheStatus: string;
  readonly version: number;
  readonly ms: number;
}

export class Stage implements AsyncDisposable {
  readonly stack: Stack;
  readonly bus: Bus;
  readonly #outcomes = new Map<string, ContentDistributed>();
  failures = 0;
  checks = 0;

  private constructor(stack: Stack, bus: Bus) {
    this.stack = stack;
    this.bus = bus;
    bus.subscribe(CONTENT_DISTRIBUTED, (outcome) => void this.#outcomes.set(outcome.id, outcome));
  }

  /** `directory`: whose files are the content, instead of what is uploaded. */
  static async open(dataDir: string, directory?: DirectorySpec): Promise<Stage> {
    const edges = [
      { id: 'us-1', region: 'US' },
      { id: 'eu-1', region: 'EU' },
      { id: 'in-1', region: 'IN' },
    ];
    const stack = await Stack.start({ dataDir, edges, ...(directory && { directory }) });
    const bus = await Bus.connect({ servers: [stack.natsUrl], name: 'demo', log: { info() {}, warn() {}, error() {} } });
    return new Stage(stack, bus);
  }

  scene(title: string): void {
    process.stdout.write(`\n${styleText('bold', title)}\n`);
  }

  /** One expectation with what was seen. A failed one is counted, the demo goes on. */
  check(holds: boolean, expectation: string, evidence = ''): void {
    this.checks += 1;
    if (!holds) this.failures += 1;
    const mark = holds ? styleText('green', '✓') : styleText('red', '✗ NOT SO:');
    process.stdout.write(`  ${mark} ${expectation}${evidence === '' ? '' : styleText('dim', `  (${evidence})`)}\n`);
  }

  note(text: string): void {
    process.stdout.write(styleText('dim', `    ${text}\n`));
  }

  /** Uploads to the origin and waits for the outcome. */
  async upload(key: string, body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<ContentDistributed> {
    return this.distributed(await this.uploadOnly(key, body, headers));
  }

  /** Uploads to the origin; resolves to the event's id. */
  async uploadOnly(key: string, body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const response = await fetch(`${this.stack.origin.url}/${key}`, { method: 'PUT', headers, body: Buffer.from(body) });
    if (!response.ok) throw new Error(`the origin answered ${response.status} to the upload of ${key}: ${await response.text()}`);
    return response.headers.get('x-sluice-event-id') as string;
  }

  async invalidate(selector: object): Promise<ContentDistributed> {
    const response = await fetch(`${this.stack.origin.url}/-/invalidations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(selector),
    });
    return this.distributed(((await response.json()) as { id: string }).id);
  }

  /** Makes the upload before the current one of a key current again, and waits for the outcome. */
  async rollBack(key: string): Promise<ContentDistributed> {
    const response = await fetch(`${this.stack.origin.url}/-/rollbacks`, { method: 'POST', body: JSON.stringify({ key }) });
    const { rolledBack } = (await response.json()) as { rolledBack: { id: string }[] };
    return this.distributed(rolledBack[0]?.id ?? '');
  }

  /** The outcome of an event, once every live edge has answered or was given up. */
  async distributed(eventId: string): Promise<ContentDistributed> {
    return this.until(`the outcome of ${eventId}`, () => this.#outcomes.get(eventId));
  }

  /** Asks an edge as a visitor would. */
  async visit(edge: string, key: string, headers: Readonly<Record<string, string>> = {}): Promise<Visit> {
    const startedAt = performance.now();
    const response = await fetch(`${this.stack.edge(edge).url}/${key}`, { headers });
    return {
      status: response.status,
      body: Buffer.from(await response.arrayBuffer()),
      coding: response.headers.get('content-encoding') ?? '',
      contentLength: Number(response.headers.get('content-length') ?? Number.NaN),
      cacheStatus: response.headers.get('cache-status') ?? '',
      version: Number(response.headers.get('x-sluice-version') ?? 0),
      ms: performance.now() - startedAt,
    };
  }

  /** One number of a part's /metrics. */
  async metric(member: Member, line: string): Promise<number> {
    const text = await (await fetch(`${member.url}/metrics`)).text();
    return Number(
      text
        .split('\n')
        .find((each) => each.startsWith(line))
        ?.split(' ')
        .at(-1) ?? 0,
    );
  }

  /** Content bytes that an edge has brought from the origin since it started. */
  async transferredBytes(edge: string): Promise<number> {
    const member = this.stack.edge(edge);
    const [full, delta] = await Promise.all(
      ['full', 'delta'].map((form) => this.metric(member, `sluice_edge_transferred_bytes_total{transfer="${form}"`)),
    );
    return (full ?? 0) + (delta ?? 0);
  }

  /** The ids that the controller plans for. */
  async livingEdges(): Promise<string[]> {
    const { edges } = (await (await fetch(`${this.stack.controller.url}/edges`)).json()) as { edges: { id: string }[] };
    return edges.map(({ id }) => id).sort();
  }

  /** The first defined value of `probe`. @throws after {@link PATIENCE_MS} */
  async until<Value>(what: string, probe: () => Value | undefined | Promise<Value | undefined>): Promise<Value> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const value = await probe();
      if (value !== undefined) return value;
      if (performance.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.close();
    await this.stack.stop();
  }
}

/** The outcome of one edge, as words: `us-1 stored full 10000 B 4 ms`. */
export function describeOutcome({ edge, outcome, transfer, bytes, ms }: EdgeOutcome): string {
  return [edge, outcome, transfer ?? '', `${bytes} B`, `${Math.round(ms)} ms`].filter((word) => word !== '').join(' ');
}

export function outcomeOf(distributed: ContentDistributed, edge: string): EdgeOutcome | undefined {
  return distributed.edges.find((outcome) => outcome.edge === edge);
}

/** Content bytes that moved to all edges together. */
export function movedBytes(distributed: ContentDistributed): number {
  return distributed.edges.reduce((sum, { bytes }) => sum + bytes, 0);
}
