/** What the origin does with uploads, downloads and listings, beside another server with the S3 API. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchOptions } from '../publish.ts';
import { startGateway } from './gateway-side.ts';
import { large } from './large.ts';
import { listing } from './listing.ts';
import { multipart } from './multipart.ts';
import { puts } from './puts.ts';
import type { Side } from './side.ts';

export interface Scene {
  /** Of the part's own; removed after it. */
  readonly dir: string;
  /** Undefined when there is none to be had. */
  readonly gateway: Side | undefined;
}

interface Part {
  run(options: BenchOptions, scene: Scene): Promise<void>;
  /** Whether the other server is measured too. */
  readonly compared: boolean;
}

const PARTS: Readonly<Record<string, Part>> = {
  puts: { run: puts, compared: true },
  large: { run: large, compared: true },
  listing: { run: listing, compared: true },
  multipart: { run: multipart, compared: false },
};
export const ORIGIN_PARTS: readonly string[] = Object.keys(PARTS);

/** Runs the named parts, all without a name, each with servers that hold nothing yet. */
export async function origin(options: BenchOptions, names: readonly string[]): Promise<void> {
  for (const [name, { run, compared }] of Object.entries(PARTS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
    try {
      await using gateway = compared ? await startGateway(join(dir, 'gateway')) : undefined;
      await run(options, { dir, gateway });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
}
