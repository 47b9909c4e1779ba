import { join } from 'node:path';
import { Broker } from './broker.ts';
import { freePort } from './ports.ts';

export interface ClusterOptions {
  /** Each server has a directory in it: `broker`, `broker-2` … */
  readonly dataDir: string;
  readonly servers: number;
  /** Of the first server; 0 or absent: any free port, as those of the others. */
  readonly port?: number;
  readonly say?: (message: string) => void;
}

/** Starts the servers of one broker, which are a cluster when there are several. @throws when one of them cannot be started: none runs then */
export async function startBrokers({ dataDir, servers, port: firstPort = 0, say }: ClusterOptions): Promise<Broker[]> {
  const names = Array.from({ length: servers }, (_, index) => (index === 0 ? 'broker' : `broker-${index + 1}`));
  const routes = servers === 1 ? [] : await Promise.all(names.map(() => freePort()));
  const starts = names.map((name, index) => {
    const place = servers === 1 ? {} : { cluster: { serverName: name, port: routes[index] as number, routes } };
    return Broker.start({ dataDir: join(dataDir, name), port: index === 0 ? firstPort : 0, ...place, ...(say && { say }) });
  });
  const started = await Promise.allSettled(starts);
  const failed = started.find((start) => start.status === 'rejected');
  const brokers = started.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  if (failed === undefined) return brokers;
  await Promise.all(brokers.map((broker) => broker.stop()));
  throw failed.reason;
}
