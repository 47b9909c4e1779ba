/** The memory tier of several threads in one, over blobs that are made up. `held`: the only ones there are. */
import { BlobMissingError } from '@sluice/blobs';
import { MemoryTier } from './memory-tier.ts';
import { SharedMemory } from './shared-memory.ts';

export function memoryOf(threads: number, maxBytes: number, sizeOf: (name: string) => number, held?: readonly string[]) {
  const gone = new Set<string>();
  const tiers: MemoryTier[] = [];
  const shared: SharedMemory = new SharedMemory(
    maxBytes,
    (name) => !gone.has(name),
    (changes) => {
      for (const change of changes) for (const tier of tiers) tier.follow(change);
    },
  );
  const blobs = {
    has: (name: string) => !gone.has(name),
    readNow: (name: string) => {
      if (held?.includes(name) === false) throw new BlobMissingError(name);
      return new Uint8Array(sizeOf(name));
    },
    readAll: async (name: string) => new Uint8Array(sizeOf(name)),
  };
  for (let thread = 0; thread < threads; thread += 1) {
    tiers.push(
      new MemoryTier({
        blobs,
        trialBytes: shared.trialBytes / threads,
        uses: shared.uses,
        isFull: () => Atomics.load(shared.full, 0) === 1,
        share: (blob) => shared.take([blob]),
      }),
    );
  }
  return {
    tiers: tiers as [MemoryTier, ...MemoryTier[]],
    shared,
    gone,
    /** A request at a thread; whether it was a hit. */
    ask(name: string, thread = 0): boolean {
      const tier = tiers[thread] as MemoryTier;
      const hit = tier.get(name) !== undefined;
      if (!hit) tier.loadNow(name);
      return hit;
    },
    /** Bytes held in all. */
    get sizeBytes(): number {
      return shared.sizeBytes + tiers.reduce((sum, tier) => sum + tier.trialBytes, 0);
    },
  };
}
