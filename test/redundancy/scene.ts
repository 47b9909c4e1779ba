/** A CDN with more than one of each, on which somebody uploads and visitors read while parts of it come and go. */
import { join } from 'node:path';
import { Bus, Streams } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, type ContentDistributed, STREAMS } from '@sluice/contracts';
import { type Member, Stack, type StackOptions } from '@sluice/stack';
import { contentOf, eventually, silentLog, temporaryDirectory } from '@sluice/testkit';

export const EDGES = [
  { id: 'us-1', region: 'US' },
  { id: 'us-2', region: 'US' },
  { id: 'eu-1', region: 'EU' },
  { id: 'eu-2', region: 'EU' },
];
/** As those of S3 clients: a service that restarts is waited for. */
const UPLOAD_PATIENCE_MS = 20_000;
const OUTCOME_MS = 60_000;
const OUTCOMES_MAX = 10_000;

export type Scene = Awaited<ReturnType<typeof scene>>;

export async function scene(options: Partial<StackOptions> = {}) {
  const cleanup = new AsyncDisposableStack();
  try {
    const dir = cleanup.use(await temporaryDirectory());
    const stack = cleanup.use(await Stack.start({ dataDir: join(dir.path, 'stack'), edges: EDGES, controllers: 2, ...options }));
    const bus = await Bus.connect({ servers: stack.natsUrl.split(','), name: 'test', log: silentLog });
    cleanup.defer(() => bus.close());
    const streams = new Streams(bus, silentLog);
    const heard: ContentDistributed[] = [];
    bus.subscribe(CONTENT_DISTRIBUTED, (message) => heard.push(message));
    await bus.flush();
    const stored = (): Promise<ContentDistributed[]> => streams.recent(STREAMS.OUTCOMES, CONTENT_DISTRIBUTED, OUTCOMES_MAX);
    return {
      ...{ stack, bus, streams, heard, stored },
      /** Each of these events has exactly one outcome stored. Returns them in the same order. */
      async oneOutcomeEach(ids: readonly string[]): Promise<ContentDistributed[]> {
        const outcomes = await eventually(async () => {
          const all = await stored();
          const missing = ids.filter((id) => !all.some((outcome) => outcome.id === id));
          if (missing.length > 0) throw new Error(`${missing.length} of ${ids.length} events have no outcome, as ${missing[0]}`);
          return all;
        }, OUTCOME_MS);
        return ids.map((id) => {
          const own = outcomes.filter((outcome) => outcome.id === id);
          if (own.length !== 1) throw new Error(`${own.length} outcomes of ${id}`);
          return own[0] as ContentDistributed;
        });
      },
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

/** Uploads one small object after the other until it is stopped, each again until it is taken, as S3 clients do. */
export class Uploads {
  /** The content of each key that was taken. */
  readonly contents = new Map<string, Buffer>();
  /** Of every upload that was answered 200. */
  readonly ids: string[] = [];
  attempts = 0;
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(origin: Member, pauseMs: number) {
    this.#running = this.#run(origin, pauseMs);
  }

  async #run(origin: Member, pauseMs: number): Promise<void> {
    for (let number = 0; !this.#stopped; number += 1) {
      const key = `site/${number % 20}`;
      const content = contentOf(3_000 + number, `upload ${number}`);
      this.ids.push(await eventually(() => this.#put(origin, key, content), UPLOAD_PATIENCE_MS));
      this.contents.set(key, content);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  async #put({ url }: Member, key: string, content: Buffer): Promise<string> {
    this.attempts += 1;
    const response = await fetch(`${url}/${key}`, { method: 'PUT', body: content, signal: AbortSignal.timeout(10_000) });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`PUT ${key}: ${response.status} ${text}`);
    return response.headers.get('x-sluice-event-id') as string;
  }

  /** @throws when one was not taken for too long */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }
}
