import type { Manifest, PatchOffer, PreviousVersion } from '@sluice/contracts';
import { isWorthwhile, makePatch } from '@sluice/delta';
import type { Clock, Logger } from '@sluice/runtime';
import PQueue from 'p-queue';
import { patchBase } from '../../domain/patch-base.ts';
import type { OriginBlobs } from '../../services/origin-blobs.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import type { GarbageCollector } from './garbage-collector.ts';

/** Patches made at once; each takes a core for some milliseconds to a second. */
const CONCURRENCY = 2;
/** Patches that may wait to be made; beyond it the whole bytes are sent. */
const WAITING_MAX = 64;
/** How long an answer waits for a patch being made. The patch is made anyway, for those who ask next. */
const PATIENCE_MS = 2_000;

export interface PatchMakerOptions {
  readonly catalog: Catalog;
  readonly blobs: Pick<OriginBlobs, 'has' | 'readAll' | 'writer'>;
  readonly garbage: GarbageCollector;
  readonly clock: Clock;
  readonly metrics: OriginMetrics;
  readonly log: Logger;
}

/** Makes patches on demand, each once, and remembers also which are not worth it. */
export class PatchMaker {
  readonly #options: PatchMakerOptions;
  readonly #queue = new PQueue({ concurrency: CONCURRENCY });
  readonly #underWay = new Map<string, Promise<PatchOffer | undefined>>();

  constructor(options: PatchMakerOptions) {
    this.#options = options;
  }

  /** The patch to `manifest` from bytes the asker holds; undefined when there is none worth sending, or none in time. */
  async offer(manifest: Manifest, previous: PreviousVersion | undefined, have: readonly string[]): Promise<PatchOffer | undefined> {
    const { catalog, blobs, clock, metrics } = this.#options;
    const base = patchBase(manifest, previous, have);
    if (base === undefined || !blobs.has(base.sha256)) return undefined;
    const known = catalog.references.patch(manifest.sha256, base.sha256);
    if (known === 'none') return undefined;
    // A cache may have let it go: then it is made again.
    if (known !== undefined && blobs.has(known.sha256)) return known;
    const pair = `${manifest.sha256}:${base.sha256}`;
    let making = this.#underWay.get(pair);
    if (making === undefined) {
      if (this.#queue.size >= WAITING_MAX) {
        metrics.patches.inc({ outcome: 'skipped' });
        return undefined;
      }
      making = this.#queue.add(() => this.#make(manifest.sha256, base.sha256)).finally(() => this.#underWay.delete(pair));
      this.#underWay.set(pair, making);
    }
    return within(making, PATIENCE_MS, clock);
  }

  async #make(target: string, base: string): Promise<PatchOffer | undefined> {
    const { catalog, blobs, garbage, metrics, log } = this.#options;
    const unpin: (() => void)[] = [];
    try {
      const [baseBytes, targetBytes] = await Promise.all([blobs.readAll(base), blobs.readAll(target)]);
      const patch = await makePatch(baseBytes, targetBytes);
      const worthwhile = patch !== undefined && isWorthwhile(patch.byteLength, targetBytes.byteLength);
      metrics.patches.inc({ outcome: worthwhile ? 'worthwhile' : 'not_worthwhile' });
      if (!worthwhile) {
        await catalog.recordPatch(target, base, undefined);
        return undefined;
      }
      const writer = blobs.writer();
      await writer.write(patch);
      const ref = writer.seal();
      unpin.push(garbage.pin(ref.sha256));
      await writer.finish();
      if (await catalog.recordPatch(target, base, ref)) return { base, ...ref };
      unpin.push(() => garbage.offer([ref.sha256]));
      return undefined;
    } catch (err) {
      // A patch is a saving, not a need: without it the whole bytes are sent.
      metrics.patches.inc({ outcome: 'failed' });
      log.warn({ err, target, base }, 'patch could not be made');
      return undefined;
    } finally {
      for (const undo of unpin) undo();
    }
  }

  /** Lets what is being made end, and makes no more. */
  async stop(): Promise<void> {
    this.#queue.clear();
    await this.#queue.onIdle();
  }
}

function within<Value>(promise: Promise<Value>, timeoutMs: number, clock: Clock): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => resolve(undefined));
    promise.then(resolve, reject).finally(cancel);
  });
}
