/** Where an event stands, as the controller tells it (`GET /distributions/<event id>`). */
import { contentDistributed, edgeId, isConfirmed, region } from '@sluice/contracts';
import { z } from 'zod';
import { EXIT, type ExitCode } from './failure.ts';

/** `content.distributed` as far as it is known, and the edges that have not answered yet. */
export const distributionState = contentDistributed.extend({
  status: z.enum(['distributing', 'distributed']),
  pending: z.array(z.object({ edge: edgeId, region })).default([]),
});
export type DistributionState = z.output<typeof distributionState>;

/** Live edges that were given up. They catch up by themselves. */
export function missedEdges(state: DistributionState): DistributionState['edges'] {
  return state.edges.filter(({ outcome }) => !isConfirmed(outcome));
}

/** 0 only when every live target has confirmed. */
export function distributionExit(state: DistributionState | undefined): ExitCode {
  return state?.status === 'distributed' && state.complete ? EXIT.OK : EXIT.NOT_DISTRIBUTED;
}

/** What a publisher should know although the distribution is complete: nobody was there to receive it. */
export function distributionWarnings(state: DistributionState): string[] {
  if (state.emptyRegions.length > 0) {
    return [`no live edge in ${state.emptyRegions.join(', ')}: an edge that joins there later catches up by itself`];
  }
  if (state.status === 'distributed' && state.edges.length === 0) {
    return ['there was no edge to send it to: either none is live (see "sluice edges"), or all had it; edges that join later catch up'];
  }
  return [];
}
