import { createLogger } from '@sluice/runtime';
import { FakeClock } from '@sluice/testkit';
import { expect, test } from 'vitest';
import type { Content } from '../domain/content-coding.ts';
import { VariantFill, type VariantFillParts } from './variant-fill.ts';

test('an index that turns out to be damaged ends the fill of a variant, and nothing else', async () => {
  const asked: string[] = [];
  const index = {
    needs: (sha256: string) => {
      asked.push(sha256);
      throw new Error('an entry of the index is not what was written');
    },
  };
  // Nothing but the index is reached.
  const parts = { index, clock: new FakeClock(), log: createLogger('edge', 'silent') } as unknown as VariantFillParts;
  const fill = new VariantFill(parts);
  fill.bring({ key: 'site/a', sha256: 'a'.repeat(64), size: 1 } as unknown as Content);
  await expect.poll(() => fill.pending).toBe(0);
  expect(asked).toEqual(['a'.repeat(64)]);
});
