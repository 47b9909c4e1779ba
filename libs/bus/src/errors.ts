import { JetStreamApiError } from '@nats-io/jetstream';
import { NoRespondersError, PermissionViolationError, RequestError, TimeoutError } from '@nats-io/transport-node';
import { SluiceError } from '@sluice/contracts';

/** Nobody listens on the subject now. Asking again at once is pointless; the listener has to come first. */
export class NoListenerError extends SluiceError {
  constructor(subject: string) {
    super('NO_LISTENER', `nobody answers on ${subject}`, { retryable: true });
    this.name = 'NoListenerError';
  }
}

/** No reply came in time. The request may or may not have been carried out. */
export class NoReplyError extends SluiceError {
  constructor(subject: string, timeoutMs: number) {
    super('NO_REPLY', `no reply on ${subject} within ${timeoutMs} ms`, { retryable: true });
    this.name = 'NoReplyError';
  }
}

/** The connection to the broker is down or was lost before the reply. */
export class BrokerAwayError extends SluiceError {
  constructor(subject: string, cause: unknown, how = 'could not take a message for') {
    super('BROKER_AWAY', `the broker ${how} ${subject}`, { retryable: true, cause });
    this.name = 'BrokerAwayError';
  }
}

/** The broker cannot be used as it was asked to. The message says why and what to do. */
export class BrokerRefusedError extends SluiceError {
  constructor(problem: string, cause: unknown) {
    super('BROKER_REFUSED', problem, { cause });
    this.name = 'BrokerRefusedError';
  }
}

/** A stream cannot have as many replicas as it is to have. */
export class TooFewServersError extends SluiceError {
  constructor(stream: string, replicas: number, cause: unknown) {
    super(
      'TOO_FEW_SERVERS',
      `the stream ${stream} is to have ${replicas} replicas, and the broker has not as many servers with JetStream now: start the others of its cluster, or set NATS_STREAM_REPLICAS to 1 where there is one server`,
      { retryable: true, cause },
    );
    this.name = 'TooFewServersError';
  }
}

/** What the NATS client throws, in Sluice's terms. */
export function fromNatsError(error: unknown, subject: string, timeoutMs: number): SluiceError {
  if (error instanceof SluiceError) return error;
  if (error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders())) return new NoListenerError(subject);
  if (error instanceof TimeoutError || (error instanceof Error && error.name === 'TimeoutError'))
    return new NoReplyError(subject, timeoutMs);
  // To who asks it is as if the broker were away: also this ends when the operator mends it.
  if (isNotPermitted(error)) return new BrokerAwayError(subject, error, 'does not permit this user to send on');
  return new BrokerAwayError(subject, error);
}

/** JetStream's number for what went wrong (https://github.com/nats-io/nats-server/blob/main/server/errors.json), undefined when it did not say one. */
export function errorCodeOf(error: unknown): number | undefined {
  return error instanceof JetStreamApiError ? error.code : undefined;
}

function isNotPermitted(error: unknown): boolean {
  if (error instanceof PermissionViolationError) return true;
  return error instanceof Error && error.cause !== undefined && isNotPermitted(error.cause);
}
