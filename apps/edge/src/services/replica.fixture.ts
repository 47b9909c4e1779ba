/** What brings and keeps bytes, on a directory of its own, beside an origin of the test's. */
import { BlobStore } from '@sluice/blobs';
import { createLogger } from '@sluice/runtime';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { CatalogIndex } from '../adapters/catalog-index.ts';
import { DetachedBlobs } from './detached-blobs.ts';
import { DiskBudget } from './disk-budget.ts';
import { Fills } from './fills.ts';
import type { OriginPort } from './origin-port.ts';
import { Puller } from './puller.ts';
import { Replica } from './replica.ts';
import { Transfers } from './transfers.ts';
import { VariantFill } from './variant-fill.ts';

const log = createLogger('edge', 'silent');
const observer = { transferred() {}, failed() {} };

export async function replicaParts(origin: OriginPort, capacityBytes = 1_000_000) {
  const dir = await temporaryDirectory();
  const blobs = await BlobStore.open({ dir: `${dir.path}/blobs`, durability: 'relaxed' });
  const clock = new FakeClock();
  const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0 });
  const budget = new DiskBudget(blobs, capacityBytes);
  const fills = new Fills({ blobs, origin, began() {}, ended() {} });
  const transfers = new Transfers({ blobs, budget, origin, fills, log, observer });
  const detached = new DetachedBlobs({ blobs, origin, observer, capacityBytes, clock });
  const memory = { forget() {} };
  const variants = new VariantFill({ index, blobs, memory, budget, transfers, clock, log });
  const replica = new Replica({ index, blobs, memory, budget, transfers, variants });
  const puller = new Puller({ index, replica, origin, fills, clock });
  return {
    ...{ blobs, clock, index, budget, transfers, detached, variants, replica, puller },
    async [Symbol.asyncDispose]() {
      index.close();
      blobs.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}
