/** What every app needs to be a good process: configuration, logs, metrics, readiness, a clean end. */
export type { AdminAccess, AdminCredentials, AdminRefusal, AdminRule } from './admin-access.ts';
export { followAdminAccess, isLoopbackHost, parseAdminTokens, TOKENS_MAX } from './admin-access.ts';
export type { Clock, Rng } from './clock.ts';
export { every, systemClock, systemRng } from './clock.ts';
export {
  adminOpenVariable,
  brokerAccess,
  bytesVariable,
  ConfigError,
  checkAdminAccess,
  checkBrokerAccess,
  commonVariables,
  exitWhenMisconfigured,
  fileVariable,
  integerVariable,
  logLevelVariable,
  natsUrlVariable,
  placeOf,
  portVariable,
  readConfig,
  readConfigOrExit,
} from './config.ts';
export { type FileWatch, watchFiles } from './file-watch.ts';
export { type FollowedFile, type FollowOptions, followFile } from './followed-file.ts';
export type { OperationsReply } from './health.ts';
export { answerOperations, isOperationsPath, Readiness, refusalReply } from './health.ts';
export { continueInTurn, drainHttpServer, httpUrl, inItsTurn, openSockets } from './http.ts';
export type { LifecycleState } from './lifecycle.ts';
export { Lifecycle } from './lifecycle.ts';
export type { Logger } from './logger.ts';
export { createLogger } from './logger.ts';
export { Counter, countedElsewhere, counter, createMetrics, durationHistogram, Gauge, gauge, Histogram, Registry } from './metrics.ts';
