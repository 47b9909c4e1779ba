/** Sluice's processes on one machine: the broker and the apps, started, watched and stopped. */
export type { BrokerOptions } from './broker.ts';
export { Broker } from './broker.ts';
export type { ClusterOptions } from './cluster.ts';
export { startBrokers } from './cluster.ts';
export { tie } from './lifeline.ts';
export type { ProcessOptions } from './managed-process.ts';
export { ManagedProcess, ProcessError } from './managed-process.ts';
export type { Place, StartOptions } from './member.ts';
export { Member } from './member.ts';
export { findNatsServer, NatsServerMissingError } from './nats-server.ts';
export type { TakenPort } from './ports.ts';
export { freePort, PortsTakenError } from './ports.ts';
export type { DirectorySpec, EdgeSpec, StackOptions } from './stack.ts';
export { ORIGIN_VARIABLES, RUNTIME_VARIABLES, Stack } from './stack.ts';
