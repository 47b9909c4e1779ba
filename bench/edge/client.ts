/** A visitor with few connections that are kept; for warming up and for asking what nobody times. */
import { Agent, request } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly bytes: number;
}

export class Client implements Disposable {
  readonly #agent: Agent;

  constructor(connections: number) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  get(url: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const sent = request(url, { agent: this.#agent }, (response) => {
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.byteLength;
        });
        response.once('error', reject);
        response.once('end', () => resolve({ status: response.statusCode ?? 0, bytes }));
      });
      sent.once('error', reject);
      sent.end();
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
