/**
 * Dying at every disk operation. Invariant: what a store says it holds after a restart has exactly the bytes of its name, what was
 * confirmed is held, and nothing else takes space.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { BlobStore, INLINE_MAX_BYTES, type Operate } from './mod.ts';
import { checkStore, contentOf, sha256Of } from './store-check.ts';

const CONTENTS = {
  inline: contentOf(1_000, 1),
  file: contentOf(3 * INLINE_MAX_BYTES, 2),
  secondFile: contentOf(INLINE_MAX_BYTES + 1, 3),
};

/** What was confirmed to be held and what to be gone; a name in neither is under way. */
interface Confirmed {
  readonly held: Set<string>;
  readonly gone: Set<string>;
}

/** Every kind of operation once or more; failures of single steps are those of a caller that goes on. */
async function scenario(store: BlobStore, { held, gone }: Confirmed): Promise<void> {
  const put = async (content: Buffer): Promise<void> => {
    gone.delete(sha256Of(content));
    await store.put(content).then(
      ({ sha256 }) => held.add(sha256),
      () => {},
    );
  };
  const remove = (content: Buffer): void => {
    held.delete(sha256Of(content));
    try {
      store.delete(sha256Of(content));
      gone.add(sha256Of(content));
    } catch {}
  };
  await put(CONTENTS.inline);
  await put(CONTENTS.file);
  await put(CONTENTS.secondFile);
  await put(CONTENTS.file);
  remove(CONTENTS.file);
  remove(CONTENTS.inline);
  await put(CONTENTS.file);
}

/** Opens what a crash left and checks the invariant. */
async function checkAfterRestart(dir: string, durability: 'full' | 'relaxed', confirmed: Confirmed, when: string): Promise<void> {
  const store = await BlobStore.open({ dir, durability });
  try {
    await checkStore(store, dir);
    for (const sha256 of confirmed.held) expect(store.has(sha256), `held ${when}`).toBe(true);
    for (const sha256 of confirmed.gone) expect(store.has(sha256), `gone ${when}`).toBe(false);
  } finally {
    store.close();
  }
}

describe.each(['full', 'relaxed'] as const)('%s durability', (durability) => {
  test('killed before or after any operation, a restart finds what was confirmed and no garbage', async () => {
    await using root = await temporaryDirectory();
    const dir = join(root.path, 'live');
    const confirmed: Confirmed = { held: new Set(), gone: new Set() };
    const snapshots: { readonly when: string; readonly dir: string; readonly confirmed: Confirmed }[] = [];
    // The directory as it is in this moment is what a process that dies now leaves.
    const snapshot = (when: string): void => {
      const copy = join(root.path, String(snapshots.length));
      cpSync(dir, copy, { recursive: true });
      snapshots.push({ when, dir: copy, confirmed: { held: new Set(confirmed.held), gone: new Set(confirmed.gone) } });
    };
    const operate: Operate = (label, operation) => {
      snapshot(`before ${label}`);
      const result = operation();
      if (!(result instanceof Promise)) {
        snapshot(`after ${label}`);
        return result;
      }
      return result.then((value) => {
        snapshot(`after ${label}`);
        return value;
      }) as typeof result;
    };
    const store = await BlobStore.open({ dir, durability, operate });
    await scenario(store, confirmed);
    store.close();

    const labels = new Set(snapshots.map(({ when }) => when.replace(/^\w+ /, '')));
    for (const label of ['BLOB_WRITE:CREATE', 'BLOB_WRITE:WRITE', 'BLOB_COMMIT:RENAME', 'BLOB_COMMIT:TRANSACTION', 'BLOB_DELETE:ROW']) {
      expect(labels).toContain(label);
    }
    for (const label of ['BLOB_COMMIT:SYNC', 'BLOB_COMMIT:SYNC_LOG']) expect(labels.has(label)).toBe(durability === 'full');
    for (const { when, dir, confirmed } of snapshots) await checkAfterRestart(dir, durability, confirmed, when);
  }, 60_000);

  test('any one operation failing, the store and a restart hold what was confirmed and no garbage', async () => {
    await using root = await temporaryDirectory();
    let operations = Number.POSITIVE_INFINITY;
    for (let failing = 0; failing < operations; failing++) {
      const dir = join(root.path, String(failing));
      let count = Number.NEGATIVE_INFINITY; // A store that cannot be opened has nothing to check.
      let failed = '';
      const operate: Operate = (label, operation) => {
        if (label === 'BLOB_READ:OPEN' || count++ !== failing) return operation();
        failed = label;
        throw new Error(`EIO at ${label}`);
      };
      const confirmed: Confirmed = { held: new Set(), gone: new Set() };
      const store = await BlobStore.open({ dir, durability, operate });
      count = 0;
      await scenario(store, confirmed);
      for (const { sha256 } of store.list()) expect(sha256Of(await store.readAll(sha256)), `after ${failed}`).toBe(sha256);
      store.close();
      if (failed === '') operations = failing;
      await checkAfterRestart(dir, durability, confirmed, `after a failure at ${failed}`);
    }
    expect(operations).toBeGreaterThan(12);
  }, 60_000);
});
