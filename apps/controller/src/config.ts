/** The controller's configuration: environment variables, read once. */
import { adminOpenVariable, checkAdminAccess, checkBrokerAccess, commonVariables, integerVariable, portVariable } from '@sluice/runtime';
import { z } from 'zod';

export const controllerVariables = z
  .strictObject({
    ...commonVariables,
    /** Interface of the status API. */
    CONTROLLER_HOST: z.string().min(1, 'must be a host name or an IP address').default('127.0.0.1'),
    /** Port of the status API; 0 lets the system choose. */
    CONTROLLER_PORT: portVariable.default(9100),
    /** Tokens of those who may use it, one a line; see docs/security.md. Absent: it answers on loopback only. */
    CONTROLLER_ADMIN_TOKEN_FILE: z.string().optional(),
    /** Lets it answer everybody who reaches it, without tokens. */
    CONTROLLER_ADMIN_OPEN: adminOpenVariable,
    /** Milliseconds between two heartbeats that edges are told to keep. */
    CONTROLLER_HEARTBEAT_MS: integerVariable(50, 60_000).default(1_000),
    /** Milliseconds after its last report in which an edge stays in the plans. */
    CONTROLLER_LEASE_MS: integerVariable(200, 600_000).default(5_000),
    /** Most edges known at once; what registers beyond is refused. */
    CONTROLLER_EDGES_MAX: integerVariable(1, 10_000).default(10_000),
    /** Most commands on their way to one edge at once. */
    CONTROLLER_EDGE_CONCURRENCY: integerVariable(1, 1_000).default(16),
    /** Most commands waiting for one edge; what comes beyond is left to the edge's catch-up. */
    CONTROLLER_EDGE_QUEUE_MAX: integerVariable(1, 100_000).default(1_000),
    /** Milliseconds that a command waits for its turn at most: after one catch-up interval the edge has fetched the change itself. */
    CONTROLLER_QUEUE_WAIT_MS: integerVariable(100, 3_600_000).default(30_000),
    /** Milliseconds that an edge has to answer a push, before the allowance for the size of the content. */
    CONTROLLER_PUSH_TIMEOUT_MS: integerVariable(100, 3_600_000).default(10_000),
    /** Most keys for which the origin is asked at once. */
    CONTROLLER_ROUNDS_MAX: integerVariable(1, 10_000).default(64),
    /** Most events that all controllers together have read and not yet acknowledged. */
    CONTROLLER_EVENTS_MAX: integerVariable(1, 100_000).default(5_000),
    /** Milliseconds after which an event that a dead controller had read goes to another one. A live one says three times in this time that it is at work. */
    CONTROLLER_ACK_WAIT_MS: integerVariable(500, 3_600_000).default(10_000),
    /** Milliseconds that running distributions get to finish when the controller is told to stop. */
    CONTROLLER_DRAIN_MS: integerVariable(0, 60_000).default(5_000),
  })
  .refine((config) => config.CONTROLLER_LEASE_MS >= 2 * config.CONTROLLER_HEARTBEAT_MS, {
    message: 'must be at least twice CONTROLLER_HEARTBEAT_MS, so that one lost heartbeat costs no edge its lease',
    path: ['CONTROLLER_LEASE_MS'],
  })
  .superRefine(checkAdminAccess('CONTROLLER'))
  .superRefine(checkBrokerAccess);

export type ControllerConfig = Readonly<z.output<typeof controllerVariables>>;
