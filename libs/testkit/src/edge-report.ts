import type { EdgeReport } from '@sluice/contracts';

/** The report of an edge that has nothing yet, with the fields that a test cares for. */
export function edgeReport(fields: Partial<EdgeReport> = {}): EdgeReport {
  return {
    ...{ id: 'us-1', instance: 'a', region: 'US', url: 'http://127.0.0.1:1' },
    ...{ catalogVersion: 0, objects: 0, bytes: 0, capacityBytes: 1, draining: false },
    ...fields,
  };
}
