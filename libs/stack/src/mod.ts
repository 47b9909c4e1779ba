/** Sluice's processes on one machine: the broker and the apps, started, watched and stopped. */
export type { BrokerOptions } from './broker.ts';
export { Broker, freePort } from './broker.ts';
export type { ProcessOptions } from './managed-process.ts';
export { ManagedProcess, ProcessError } from './managed-process.ts';
export { findNatsServer, NatsServerMissingError } from './nats-server.ts';
