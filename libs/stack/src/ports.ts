import { createServer, type Server } from 'node:net';

/** A port of the stack that something else listens on. */
export interface TakenPort {
  /** The part that wanted it: `origin`, `edge us-1`. */
  readonly name: string;
  readonly port: number;
}

/** Ports that the stack was told to use are not free. */
export class PortsTakenError extends Error {
  readonly taken: readonly TakenPort[];
  constructor(taken: readonly TakenPort[]) {
    super(taken.map(({ name, port }) => `port ${port} (for ${name}) is taken`).join('; '));
    this.name = 'PortsTakenError';
    this.taken = taken;
  }
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return listenBriefly(0);
}

/** So many loopback ports that were free at the same moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listening(0)));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** @throws {PortsTakenError} naming every port that cannot be had. Port 0 always can. */
export async function requireFreePorts(wanted: readonly TakenPort[]): Promise<void> {
  const fixed = wanted.filter(({ port }) => port !== 0);
  const free = await Promise.all(
    fixed.map(({ port }) =>
      listenBriefly(port).then(
        () => true,
        () => false,
      ),
    ),
  );
  const taken = fixed.filter(({ port }, index) => !free[index] || fixed.findIndex((other) => other.port === port) !== index);
  if (taken.length > 0) throw new PortsTakenError(taken);
}

async function listenBriefly(port: number): Promise<number> {
  const server = await listening(port);
  const { port: found } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return found;
}

function listening(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
