/** NATS as Sluice uses it. The only library that knows the NATS client. */
export { type BrokerAccess, readNkeySeed, withoutCredentials } from './access.ts';
export type { BusLogger, BusOptions, RequestHandler, RequestOptions, ServeOptions, Unsubscribe } from './bus.ts';
export { Bus } from './bus.ts';
export { BrokerAwayError, BrokerRefusedError, NoListenerError, NoReplyError, TooFewServersError } from './errors.ts';
export type { Operate } from './operate.ts';
export type { FollowOptions, Link, LogEntry } from './shared-log.ts';
export { SharedLog } from './shared-log.ts';
export type { ConsumeOptions, Consuming, DurableMessage, StreamReading } from './streams.ts';
export { Streams } from './streams.ts';
