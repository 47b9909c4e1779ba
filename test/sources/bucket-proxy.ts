/** Stands between origins and the S3 service, counts what they ask it for, and takes it away from them when a test says so. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface BucketProxy extends AsyncDisposable {
  readonly endpoint: string;
  /** Request lines such as `GET /bucket/key?versionId=…`, in the order in which they came. */
  readonly requests: readonly string[];
  /** Takes connections and says nothing, as a service that hangs, until {@link resume}. */
  pause(): void;
  resume(): void;
}

/** A client sends a request's head at once, and the next one when it was answered. */
const REQUEST_LINE = /^([A-Z]+ \S+) HTTP\/1\.1\r\n/;

export async function bucketProxy(service: string): Promise<BucketProxy> {
  const { hostname, port } = new URL(service);
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  let isPaused = false;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    if (isPaused) socket.pause();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: hostname, port: Number(port), noDelay: true });
    client.on('data', (bytes) => {
      const line = REQUEST_LINE.exec(bytes.toString('latin1', 0, 4_096))?.[1];
      if (line !== undefined) requests.push(line);
    });
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) keep(socket);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    pause() {
      isPaused = true;
      for (const socket of sockets) socket.pause();
    },
    resume() {
      isPaused = false;
      for (const socket of sockets) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
