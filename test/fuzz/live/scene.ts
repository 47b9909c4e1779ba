/** A CDN of real processes that is asked hostile things, and then has to work as before. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ManagedProcess, Stack } from '@sluice/stack';
import { contentOf, eventually, temporaryDirectory } from '@sluice/testkit';
import { makeCertificate, writeCertificate } from '../../../apps/edge/src/certificates.fixture.ts';
import { expectServed, upload } from '../../cdn.ts';
import { leakIn } from '../target.ts';

export const EDGE_ID = 'fuzz-1';
/** What the apps are told to hold in memory is far less. */
const RSS_MAX_MB = 700;
/** Upload, announcement, push and answer: behind all that has been sent before. */
const ROUND_MS = 60_000;
/** Small objects that hostile requests may hit. */
const CONTENTS = { 'site/a': 'content a', 'site/b': 'content b', 'site/a/b c.js': 'x'.repeat(3_000) } as const;
/** Characters that every secret in a hostile request has. */
export const SECRET_MARK = 'c2VjcmV0';

/** What a part tells its operator of others: hostile registrations have the ids of edges that there are. */
const EXPECTED_FAILURES: ReadonlySet<string> = new Set(['two live processes use one edge id; give each its own EDGE_ID']);

export class LiveScene implements AsyncDisposable {
  readonly stack: Stack;
  readonly tlsPort: number;
  readonly #dir: Awaited<ReturnType<typeof temporaryDirectory>>;
  readonly #watch: ManagedProcess;
  readonly #problems: string[] = [];
  #watched = '';
  #rounds = 0;

  private constructor(stack: Stack, tlsPort: number, dir: LiveScene['_dir'], watch: ManagedProcess) {
    this.stack = stack;
    this.tlsPort = tlsPort;
    this.#dir = dir;
    this.#watch = watch;
    stack.onUnexpectedEnd((name, how) => this.#problems.push(`${name} ${how}`));
    watch.onLine((line) => {
      this.#watched = line.includes('fuzz/') ? line : this.#watched;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal would obey
      if (/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(line))
        this.#problems.push(`sluice watch shows control characters: ${JSON.stringify(line)}`);
    });
  }
  declare readonly _dir: Awaited<ReturnType<typeof temporaryDirectory>>;

  static async start(): Promise<LiveScene> {
    const dir = await temporaryDirectory();
    const paths = await writeCertificate(dir.path, 'edge', await makeCertificate());
    const tls = { EDGE_TLS_PORT: '0', EDGE_TLS_CERT_FILE: paths.certificate, EDGE_TLS_KEY_FILE: paths.key };
    const env = { EDGE_MEMORY_BYTES: '32MiB', EDGE_CAPACITY_BYTES: '1GiB', ...tls };
    const stack = await Stack.start({ dataDir: join(dir.path, 'stack'), edges: [{ id: EDGE_ID, region: 'US', env }] });
    const watch = new ManagedProcess({
      name: 'sluice watch',
      command: process.execPath,
      args: [join(import.meta.dirname, '../../../apps/cli/src/main.ts'), 'watch', '--nats', stack.natsUrl],
    });
    await watch.waitForLine((line) => (line.includes('watching') ? true : undefined), 20_000);
    const scene = new LiveScene(stack, await tlsPortOf(stack), dir, watch);
    for (const [key, content] of Object.entries(CONTENTS)) await upload(stack.origin.url, key, Buffer.from(content));
    for (const [key, content] of Object.entries(CONTENTS))
      await eventually(() => expectServed(scene.edgeUrl, encodeURI(key), Buffer.from(content)));
    return scene;
  }

  get edgeUrl(): string {
    return this.stack.edge(EDGE_ID).url;
  }

  /** What is wrong after all that was sent: a full round is made, and logs and memory are looked at. Empty: nothing. */
  async problems(): Promise<string[]> {
    this.#rounds += 1;
    const key = `fuzz/round-${process.pid}-${this.#rounds}`;
    const content = contentOf(20_000, key);
    try {
      await upload(this.stack.origin.url, key, content);
      await eventually(() => expectServed(this.edgeUrl, key, content), ROUND_MS);
      await eventually(() => {
        if (!this.#watched.includes(key)) throw new Error('sluice watch does not tell of it');
      }, ROUND_MS);
    } catch (error) {
      this.#problems.push(`after it the CDN does not work: ${(error as Error).message}`);
    }
    if (!this.#watch.running) this.#problems.push(`sluice watch has ended: ${this.#watch.tail}`);
    for (const member of this.stack.members) {
      if (!member.running) continue;
      const rss = await residentMb(member.pid);
      if (rss > RSS_MAX_MB) this.#problems.push(`${member.name} takes ${rss} MB`);
      const ready = await fetch(`${member.url}/readyz`).catch((error: Error) => error);
      if (ready instanceof Error || !ready.ok)
        this.#problems.push(`${member.name} is not ready: ${ready instanceof Error ? ready.message : await ready.text()}`);
      this.#problems.push(...(await this.#problemsInLog(member.name, member.logFile)));
    }
    return this.#problems.splice(0);
  }

  readonly #readLines = new Map<string, number>();

  /** New lines of a log that should not be there. */
  async #problemsInLog(name: string, file: string): Promise<string[]> {
    const found: string[] = [];
    const seen = this.#readLines.get(file) ?? 0;
    let number = 0;
    for (const line of (await readFile(file, 'utf8')).split('\n').slice(0, -1)) {
      number += 1;
      if (number <= seen) continue;
      const problem = problemInLine(line);
      if (problem !== undefined && found.length < 5) found.push(`${name} logs ${problem}: ${line.slice(0, 1_500)}`);
    }
    this.#readLines.set(file, number);
    return found;
  }

  /** What must not stand in an answer: a path of this machine, a stack, a secret of somebody's request. */
  leakIn(answer: string): string | undefined {
    return leakIn(answer) ?? (answer.includes(this.#dir.path) ? `the path ${this.#dir.path}` : undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch.stop();
    await this.stack.stop();
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** Undefined: a line may be so. */
function problemInLine(line: string): string | undefined {
  if (line.includes(SECRET_MARK)) return 'a secret';
  let entry: { level?: string; msg?: string };
  try {
    entry = JSON.parse(line);
  } catch {
    return 'what is no JSON';
  }
  const isFailure = entry.level === 'error' || entry.level === 'fatal';
  return isFailure && !EXPECTED_FAILURES.has(entry.msg ?? '') ? 'a failure of its own' : undefined;
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** The edge chose it, and says so in its log. */
async function tlsPortOf(stack: Stack): Promise<number> {
  return eventually(async () => {
    const log = await readFile(stack.edge(EDGE_ID).logFile, 'utf8');
    const port = /"tlsPort":(\d+)/.exec(log)?.[1];
    if (port === undefined) throw new Error('no port for TLS in the log');
    return Number(port);
  });
}
