import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type BusLogger } from '@sluice/bus';
import { Broker, startBrokers } from '@sluice/stack';

/** A directory that disappears with its scope: `await using dir = await temporaryDirectory()`. */
export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A real nats-server of this scope's own, on loopback and a free port. */
export async function testBroker(): Promise<
  AsyncDisposable & { readonly broker: Broker; readonly url: string; connect(name?: string): Promise<Bus> }
> {
  const dir = await temporaryDirectory();
  const broker = await Broker.start({ dataDir: dir.path });
  const connections: Bus[] = [];
  return {
    broker,
    url: broker.url,
    async connect(name = 'test') {
      const bus = await Bus.connect({ servers: [broker.url], name, log: silentLog });
      connections.push(bus);
      return bus;
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(connections.map((bus) => bus.connection.close()));
      await broker.stop();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** A broker of three servers, of this scope's own. */
export async function testCluster(): Promise<
  AsyncDisposable & {
    readonly brokers: readonly Broker[];
    readonly urls: readonly string[];
    connect(name?: string, urls?: readonly string[]): Promise<Bus>;
  }
> {
  const dir = await temporaryDirectory();
  const brokers = await startBrokers({ dataDir: dir.path, servers: 3 });
  const connections: Bus[] = [];
  const urls = brokers.map(({ url }) => url);
  return {
    brokers,
    urls,
    async connect(name = 'test', servers = urls) {
      const bus = await Bus.connect({ servers, name, log: silentLog });
      connections.push(bus);
      return bus;
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(connections.map((bus) => bus.connection.close()));
      await Promise.all(brokers.map((broker) => broker.stop()));
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** Says nothing. */
export const silentLog: BusLogger & { debug(): void } = { debug() {}, info() {}, warn() {}, error() {} };
