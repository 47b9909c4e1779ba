import { readConfig } from '@sluice/runtime';
import { type EdgeConfig, edgeVariables } from '../../apps/edge/src/config.ts';

export const ID = 'us-1';
/** Room for one of the three streamed contents and for all that is small. */
export const CAPACITY_BYTES = 2_000_000;

export function edgeConfig(dir: string, natsUrl: string): EdgeConfig {
  const variables = {
    ...{ NATS_URL: natsUrl, EDGE_ID: ID, EDGE_PORT: '0', EDGE_DATA_DIR: dir, EDGE_CAPACITY_BYTES: String(CAPACITY_BYTES) },
    // Only when it starts, so that it always comes in the same place.
    ...{ EDGE_CATCH_UP_INTERVAL_MS: '3600000', EDGE_SERVING_THREADS: '0', EDGE_MEMORY_BYTES: '0', EDGE_NEGATIVE_TTL_MS: '0' },
  };
  return readConfig(edgeVariables, variables, []);
}
