import { join } from 'node:path';
import { Broker } from './broker.ts';
import { freePorts } from './ports.ts';

export interface ClusterOptions {
  /** Each server has a directory in it: `broker`, `broker-2` … */
  readonly dataDir: string;
  readonly servers: number;
  /** Of the first server; 0 or absent: any free port, as those of the others. */
  readonly port?: number;
  /** See `BrokerOptions`; of a broker with one server only. */
  readonly configurationDir?: string | undefined;
  readonly say?: (message: string) => void;
}

/** Starts the servers of one broker, which are a cluster when there are several, and waits until they work. @throws when one of them does not: none runs then */
export async function startBrokers({ dataDir, servers, port: firstPort = 0, configurationDir, say }: ClusterOptions): Promise<Broker[]> {
  const isCluster = servers > 1;
  if (isCluster && configurationDir !== undefined)
    throw new Error('a cluster with users and TLS has no configuration yet: start one server, or one without');
  const [clients = [], routes = [], monitors = []] = isCluster ? threeOf(servers, await freePorts(3 * servers)) : [];
  const starts = Array.from({ length: servers }, (_, index) => {
    const serverName = index === 0 ? 'broker' : `broker-${index + 1}`;
    const place = { serverName, port: routes[index] as number, monitorPort: monitors[index] as number, routes };
    const port = index === 0 && firstPort !== 0 ? firstPort : clients[index];
    return Broker.start({
      dataDir: join(dataDir, serverName),
      configurationDir,
      ...(port && { port }),
      ...(isCluster && { cluster: place }),
      ...(say && { say }),
    });
  });
  const started = await Promise.allSettled(starts);
  const brokers = started.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  try {
    for (const start of started) if (start.status === 'rejected') throw start.reason;
    await Promise.all(brokers.map((broker) => broker.waitUntilHealthy()));
    return brokers;
  } catch (error) {
    await Promise.all(brokers.map((broker) => broker.stop()));
    throw error;
  }
}

function threeOf(length: number, ports: readonly number[]): number[][] {
  return [0, 1, 2].map((part) => ports.slice(part * length, (part + 1) * length));
}
