import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { createLogger, type Logger } from '@sluice/runtime';
import { temporaryDirectory } from '@sluice/testkit';
import { type OriginSeams, startOrigin } from '../app.ts';
import { type OriginConfig, originConfigSchema } from '../config.ts';

/** Nobody listens there: an origin of which only HTTP is looked at. */
export const NO_BROKER = 'nats://127.0.0.1:1';
export const silent = createLogger('origin', 'silent');

export function originConfig(dir: string, natsUrl: string, more: Partial<OriginConfig> = {}): OriginConfig {
  return { ...originConfigSchema.parse({ LOG_LEVEL: 'silent', ORIGIN_PORT: '0', ORIGIN_DATA_DIR: dir, NATS_URL: natsUrl }), ...more };
}

export interface OriginFixture extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  /** Ends it and starts it again on the same directory; the port changes. `beforeStart`: what happens while it is away. */
  restart(seams?: OriginSeams & { beforeStart?: () => Promise<unknown> }): Promise<void>;
  metric(name: string): Promise<number>;
}

/** An origin in this process, in a directory of its own. */
export async function originFixture(
  options: { natsUrl?: string; seams?: OriginSeams; config?: Partial<OriginConfig>; log?: Logger } = {},
): Promise<OriginFixture> {
  const dir = await temporaryDirectory();
  const config = originConfig(dir.path, options.natsUrl ?? NO_BROKER, options.config);
  const log = options.log ?? silent;
  let origin = await startOrigin(config, log, options.seams);
  const url = (): string => `http://127.0.0.1:${origin.port}`;
  return {
    get url() {
      return url();
    },
    get port() {
      return origin.port;
    },
    dir: dir.path,
    async restart(seams) {
      await origin.stop();
      await seams?.beforeStart?.();
      origin = await startOrigin(config, log, seams);
    },
    async metric(name) {
      const text = await (await fetch(`${url()}/metrics`)).text();
      const line = text.split('\n').find((candidate) => candidate.startsWith(name.includes('{') ? name.slice(0, -1) : `${name}{`));
      return Number(line?.split(' ').at(-1));
    },
    async [Symbol.asyncDispose]() {
      await origin.stop();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** Sends bytes as they are and returns all that comes back until the connection ends. */
export function rawExchange(
  port: number,
  pieces: readonly (string | Uint8Array)[],
  options: { halfClose?: boolean } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      received += text;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
    for (const piece of pieces) socket.write(piece);
    if (options.halfClose === true) socket.end();
  });
}

/** The status code of a raw HTTP/1.1 response. */
export function statusOf(response: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(response)?.[1]);
}

export function md5(bytes: string | Uint8Array, encoding: 'hex' | 'base64' = 'hex'): string {
  return createHash('md5').update(bytes).digest(encoding);
}
export function sha256(bytes: string | Uint8Array, encoding: 'hex' | 'base64' = 'hex'): string {
  return createHash('sha256').update(bytes).digest(encoding);
}

/** The code of an S3 error document. */
export async function errorCode(response: Response): Promise<string | undefined> {
  return /<Code>(\w+)<\/Code>/.exec(await response.text())?.[1];
}
