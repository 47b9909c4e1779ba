import type { DistributionState } from './distribution-state.ts';

type Outcome = DistributionState['edges'][number];

export function outcome(edge: string, region: string, changes: Partial<Outcome> = {}): Outcome {
  return { edge, region, outcome: 'stored', transfer: 'full', bytes: 1_500, ms: 31.4, attempts: 1, ...changes };
}

export function state(changes: Partial<DistributionState> = {}): DistributionState {
  return {
    id: 'e-1',
    event: 'uploaded',
    subject: 'site/app.js',
    version: 7,
    startedAt: '2026-01-01T00:00:00.000Z',
    durationMs: 84.2,
    complete: true,
    edges: [outcome('us-1', 'US')],
    emptyRegions: [],
    status: 'distributed',
    pending: [],
    ...changes,
  };
}
