import { readConfig } from '@sluice/runtime';
import { type ControllerConfig, controllerVariables } from '../../apps/controller/src/config.ts';

/** In the proportions of the defaults, and so short that an event is soon delivered again. */
export function controllerConfig(natsUrl: string): ControllerConfig {
  const variables = {
    ...{ NATS_URL: natsUrl, CONTROLLER_PORT: '0', CONTROLLER_HEARTBEAT_MS: '100', CONTROLLER_LEASE_MS: '5000' },
    ...{ CONTROLLER_ACK_WAIT_MS: '1000', CONTROLLER_DRAIN_MS: '200' },
  };
  return readConfig(controllerVariables, variables, ['CONTROLLER_']);
}
