/** Listens to everything that Sluice says on the broker. */
import { connect } from 'node:net';
import { type BrokerAccess, BrokerRefusedError, Bus, type BusLogger, withoutCredentials } from '@sluice/bus';
import {
  CONTENT_DISTRIBUTED,
  CONTENT_INVALIDATED,
  CONTENT_REJECTED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  type ContentDistributed,
  type ContentInvalidated,
  type ContentRejected,
  type ContentRemoved,
  type ContentUploaded,
  edgeHeartbeat,
} from '@sluice/contracts';
import { CommandError, EXIT } from '../domain/failure.ts';
import { Presence, type PresenceChange } from '../domain/presence.ts';

const CONNECT_TIMEOUT_MS = 3_000;
const DEFAULT_NATS_PORT = 4222;
const SWEEP_INTERVAL_MS = 500;

export type WatchedEvent =
  | { readonly kind: 'uploaded'; readonly message: ContentUploaded }
  | { readonly kind: 'invalidated'; readonly message: ContentInvalidated }
  | { readonly kind: 'removed'; readonly message: ContentRemoved }
  | { readonly kind: 'distributed'; readonly message: ContentDistributed }
  | { readonly kind: 'rejected'; readonly message: ContentRejected }
  | PresenceChange;

export interface WatchOptions {
  readonly servers: readonly string[];
  readonly access: BrokerAccess;
  readonly monotonicMs: () => number;
  readonly onEvent: (event: WatchedEvent) => void;
  /** Trouble that is no event: a lost connection, a message that cannot be read. */
  readonly onTrouble: (text: string) => void;
}

/**
 * Listens until closed, over reconnections. What happens while the connection is away is missed.
 * @throws {CommandError} when no server of the broker can be reached, or none lets this user in
 */
export async function watchEvents({ servers, access, monotonicMs, onEvent, onTrouble }: WatchOptions): Promise<{ close(): Promise<void> }> {
  await requireReachable(servers);
  const bus = await Bus.connect({ servers, access, name: 'sluice watch', inbox: 'console', log: troubleLog(onTrouble), wait: false }).catch(
    refused,
  );
  const presence = new Presence(monotonicMs());
  const report = (change: PresenceChange | undefined): void => {
    if (change !== undefined) onEvent(change);
  };
  const onInvalid = (error: Error, subject: string): void => onTrouble(`a message on ${subject} cannot be read: ${error.message}`);
  bus.subscribe(CONTENT_UPLOADED, (message) => onEvent({ kind: 'uploaded', message }), onInvalid);
  bus.subscribe(CONTENT_INVALIDATED, (message) => onEvent({ kind: 'invalidated', message }), onInvalid);
  bus.subscribe(CONTENT_REMOVED, (message) => onEvent({ kind: 'removed', message }), onInvalid);
  bus.subscribe(CONTENT_DISTRIBUTED, (message) => onEvent({ kind: 'distributed', message }), onInvalid);
  bus.subscribe(CONTENT_REJECTED, (message) => onEvent({ kind: 'rejected', message }), onInvalid);
  bus.subscribe(edgeHeartbeat('*'), (message) => report(presence.observe(message, monotonicMs())), onInvalid);
  await bus.flush();
  const sweeping = setInterval(() => {
    // Silence of the broker is not silence of the edges.
    if (bus.connected) for (const change of presence.sweep(monotonicMs())) report(change);
  }, SWEEP_INTERVAL_MS);
  return {
    async close() {
      clearInterval(sweeping);
      await bus.close();
    },
  };
}

function refused(error: unknown): never {
  if (error instanceof BrokerRefusedError) throw new CommandError(EXIT.UNREACHABLE, 'BROKER_REFUSED', error.message, error);
  throw error;
}

function troubleLog(onTrouble: (text: string) => void): BusLogger {
  const say = (fields: object, message: string): void => {
    const { err, problem } = fields as { err?: unknown; problem?: unknown };
    if (typeof problem === 'string') onTrouble(problem);
    else onTrouble(err instanceof Error ? `${message}: ${err.message}` : message);
  };
  // What the bus says at this level is that a lost connection is back.
  return { info: (_fields, message) => message.includes('restored') && onTrouble(message), warn: say, error: say };
}

/** Bus waits for a broker as long as it takes; a person at a terminal wants to know at once. */
async function requireReachable(servers: readonly string[]): Promise<void> {
  const failures = await Promise.all(servers.map(connectProblem));
  if (failures.includes(undefined)) return;
  throw new CommandError(
    EXIT.UNREACHABLE,
    'UNREACHABLE',
    `cannot reach the broker at ${servers.map(withoutCredentials).join(', ')}: ${failures[0]}; start one with "sluice up", or say where it is with --nats`,
  );
}

function connectProblem(server: string): Promise<string | undefined> {
  const address = server.includes('://') ? server : `nats://${server}`;
  if (!URL.canParse(address)) return Promise.resolve('the address cannot be read');
  const { hostname, port } = new URL(address);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || DEFAULT_NATS_PORT });
    const settle = (problem: string | undefined): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => settle('it did not answer in time'));
    socket.once('connect', () => settle(undefined));
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code === 'ECONNREFUSED' ? 'is it running?' : error.message));
  });
}
