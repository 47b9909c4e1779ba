/** A real broker that knows the users of a credentials directory. */
import { Bus, type BusLogger } from '@sluice/bus';
import { Broker } from '@sluice/stack';
import { silentLog, temporaryDirectory } from '@sluice/testkit';
import { CredentialsDirectory, type CredentialsOptions } from './mod.ts';

export const OPTIONS: CredentialsOptions = {
  edges: [
    { id: 'us-1', region: 'US' },
    { id: 'eu-1', region: 'EU' },
  ],
  serverNames: ['127.0.0.1', 'localhost'],
  notifications: 'bucket.events',
  nowMs: Date.now(),
};

/** Which inbox each user has, and where its files are. */
function userOf(credentials: CredentialsDirectory, name: string): { dir: string; inbox: string } {
  const edge = OPTIONS.edges.find(({ id }) => id === name);
  if (edge !== undefined) return { dir: credentials.dirOfEdge(edge), inbox: `edge.${name}` };
  return { dir: `${credentials.path}/${name}`, inbox: name };
}

/** What a client of this scope was refused: `publish content.removed`, `subscription >`. */
export interface Client {
  readonly bus: Bus;
  readonly refused: string[];
}

export class SecuredBroker {
  readonly credentials: CredentialsDirectory;
  readonly broker: Broker;
  readonly #cleanup: AsyncDisposableStack;

  private constructor(credentials: CredentialsDirectory, broker: Broker, cleanup: AsyncDisposableStack) {
    this.credentials = credentials;
    this.broker = broker;
    this.#cleanup = cleanup;
  }

  static async start(): Promise<SecuredBroker> {
    const cleanup = new AsyncDisposableStack();
    const dir = cleanup.use(await temporaryDirectory());
    const credentials = new CredentialsDirectory(`${dir.path}/credentials`);
    await credentials.fill(OPTIONS);
    const broker = await Broker.start({ dataDir: `${dir.path}/broker`, configurationDir: credentials.brokerDir });
    cleanup.defer(() => broker.stop());
    return new SecuredBroker(credentials, broker, cleanup);
  }

  /** Connects as one of the directories: `origin`, `us-1`. */
  async connect(name: string, log: BusLogger = silentLog): Promise<Client> {
    const { dir, inbox } = userOf(this.credentials, name);
    const access = CredentialsDirectory.accessIn(dir);
    const bus = await Bus.connect({ servers: [this.broker.url], name, inbox, access, log, wait: false });
    this.#cleanup.defer(() => bus.connection.close());
    const refused: string[] = [];
    void (async () => {
      for await (const status of bus.connection.status()) {
        if (status.type === 'error' && 'operation' in status.error)
          refused.push(`${status.error.operation} ${'subject' in status.error && status.error.subject}`);
      }
    })();
    return { bus, refused };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}
