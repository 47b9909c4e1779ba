/** What stands between a client and a broker that knows its users: credentials, certificates, permissions. */
import { copyFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CONTENT_REMOVED, CONTENT_UPLOADED, edgeHeartbeat, ORIGIN_FETCH, originHeartbeat } from '@sluice/contracts';
import { CredentialsDirectory } from '@sluice/credentials';
import { Broker } from '@sluice/stack';
import { edgeReport, eventually, silentLog, temporaryDirectory, testBroker } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BrokerAccess, BrokerAwayError, BrokerRefusedError, Bus } from './mod.ts';

const CREDENTIALS = { edges: [{ id: 'us-1', region: 'US' }], serverNames: ['127.0.0.1'], nowMs: Date.now() };

const cleanup = new AsyncDisposableStack();
let dir: string;
let credentials: CredentialsDirectory;
let broker: Broker;

beforeAll(async () => {
  dir = cleanup.use(await temporaryDirectory()).path;
  credentials = new CredentialsDirectory(join(dir, 'credentials'));
  await credentials.fill(CREDENTIALS);
  broker = await Broker.start({ dataDir: join(dir, 'broker'), configurationDir: credentials.brokerDir });
  cleanup.defer(() => broker.stop());
});
afterAll(() => cleanup.disposeAsync());

const edgeAccess = () => CredentialsDirectory.accessIn(credentials.dirOfEdge({ id: 'us-1', region: 'US' }));

interface Line {
  readonly level: string;
  readonly problem?: string;
  readonly message: string;
}
/** A log that can be looked at. */
function recordingLog() {
  const lines: Line[] = [];
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, ...fields, message });
  return { lines, log: { info: at('info'), warn: at('warn'), error: at('error') } };
}

const connect = (access: BrokerAccess, changes: Partial<Parameters<typeof Bus.connect>[0]> = {}) =>
  Bus.connect({ servers: [broker.url], name: 'test', inbox: 'edge.us-1', access, log: silentLog, wait: false, ...changes });

/** A second authority that has signed nothing here, and keys that the broker does not know. */
async function strangers(): Promise<{ nkeyFile: string; caFile: string }> {
  const others = new CredentialsDirectory(join(dir, 'strangers'));
  await others.fill(CREDENTIALS);
  return CredentialsDirectory.accessIn(others.dirOf('origin'));
}

describe('a connection is refused, and the reason says what to do', () => {
  test.each<[string, () => Promise<BrokerAccess>, string]>([
    ['without credentials', async () => ({ caFile: edgeAccess().caFile }), 'name a file with a key in NATS_NKEY_FILE'],
    [
      'with a key that it does not know',
      async () => ({ ...edgeAccess(), nkeyFile: (await strangers()).nkeyFile }),
      'does not know the key in ',
    ],
    ['without its authority', async () => ({ nkeyFile: edgeAccess().nkeyFile }), 'name the file with its certificate in NATS_CA_FILE'],
    ['with another authority', async () => ({ ...edgeAccess(), caFile: (await strangers()).caFile }), 'is not from the authority in '],
    ['with a file that is not there', async () => ({ ...edgeAccess(), nkeyFile: '/nowhere/nats.nk' }), '/nowhere/nats.nk'],
    ['with an authority that is not there', async () => ({ ...edgeAccess(), caFile: '/nowhere/ca.pem' }), '/nowhere/ca.pem'],
  ])('%s', async (_title, access, reason) => {
    const failure = await connect(await access()).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(BrokerRefusedError);
    expect((failure as Error).message).toContain(reason);
  });

  test('by a name that its certificate does not have', async () => {
    await expect(connect(edgeAccess(), { servers: [broker.url.replace('127.0.0.1', 'localhost')] })).rejects.toThrow(
      'not for the name by which it is reached',
    );
  });

  test('by a broker without TLS, when an authority or tls:// says that there is TLS', async () => {
    await using plain = await testBroker();
    for (const [access, url] of [
      [{ caFile: edgeAccess().caFile }, plain.url],
      [{}, plain.url.replace('nats:', 'tls:')],
    ] as const) {
      await expect(connect(access, { servers: [url] })).rejects.toThrow('the broker offers no TLS');
    }
  });

  test('a file that holds no seed is named, and what it holds is not said', async () => {
    const nkeyFile = join(dir, 'no-seed');
    await writeFile(nkeyFile, 'hunter2');
    const failure = (await connect({ ...edgeAccess(), nkeyFile }).catch((error: unknown) => error)) as Error;
    expect(failure.message).toContain(`${nkeyFile} holds no seed of an nkey`);
    expect(JSON.stringify([failure.message, String(failure.cause)])).not.toContain('hunter2');
  });
});

describe('who waits', () => {
  test('is told once what is in the way, and gets in when that is mended', async () => {
    const nkeyFile = join(dir, 'late.nk');
    await copyFile((await strangers()).nkeyFile, nkeyFile);
    const { lines, log } = recordingLog();
    const connecting = connect({ ...edgeAccess(), nkeyFile }, { wait: true, log });
    const warnings = () => lines.filter(({ level }) => level === 'warn');
    await eventually(() => expect(warnings()).toHaveLength(1));
    // Attempts go on, and the next warning is of another problem.
    await rm(nkeyFile);
    await eventually(() => expect(warnings()).toHaveLength(2));
    expect(warnings().map(({ problem }) => problem)).toEqual([
      expect.stringContaining('does not know the key'),
      expect.stringContaining('ENOENT'),
    ]);
    await copyFile(edgeAccess().nkeyFile, nkeyFile);
    const bus = await connecting;
    expect(bus.connected).toBe(true);
    await bus.close();
  });

  test('comes back with a key that was replaced while it was connected', async () => {
    const { lines, log } = recordingLog();
    const bus = await connect(edgeAccess(), { log });
    const away = eventually(() => expect(bus.connected).toBe(false));
    const back = new Promise<void>((resolve) => bus.onReconnect(resolve));
    await credentials.fill({ ...CREDENTIALS, rotate: ['us-1'] });
    await broker.reload();
    await Promise.all([away, back]);
    bus.publish(edgeHeartbeat('us-1'), edgeReport());
    await bus.flush();
    expect(lines.filter(({ message }) => message === 'not permitted by the broker')).toEqual([]);
    await bus.close();
  }, 30_000);
});

test('a user with a password gets in with it, and with another one not', async () => {
  const configurationDir = join(dir, 'passwords');
  const { mkdir } = await import('node:fs/promises');
  await mkdir(configurationDir);
  await writeFile(
    join(configurationDir, 'nats.conf'),
    'authorization { users: [ { user: "ann", password: "right" } ] }\njetstream: { store_dir: "store" }\n',
  );
  await using own = {
    broker: await Broker.start({ dataDir: join(dir, 'own'), configurationDir }),
    [Symbol.asyncDispose]: () => own.broker.stop(),
  };
  const servers = [own.broker.url.replace('tls:', 'nats:')];
  const passwordFile = join(dir, 'password');
  await writeFile(passwordFile, 'wrong\n');
  await expect(connect({ user: 'ann', passwordFile }, { servers })).rejects.toThrow(
    `does not take the user "ann" with the password in ${passwordFile}`,
  );
  await writeFile(passwordFile, 'right\n');
  const bus = await connect({ user: 'ann', passwordFile }, { servers });
  expect(bus.connected).toBe(true);
  await bus.close();
});

describe('what is not permitted', () => {
  test('fails at once where an answer is awaited, is told once, and leaves the connection to what is permitted', async () => {
    const { lines, log } = recordingLog();
    const bus = await connect(edgeAccess(), { log });
    const timeoutMs = 60_000;
    const forbidden = { subject: 'origin.other.fetch', request: ORIGIN_FETCH.request, reply: ORIGIN_FETCH.reply } as const;
    const asked = performance.now();
    for (let attempt = 0; attempt < 3; attempt++) {
      const failure = await bus.request(forbidden, { op: 'resolve', key: 'site/a' }, { timeoutMs }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(BrokerAwayError);
      expect((failure as Error).message).toBe('the broker does not permit this user to send on origin.other.fetch');
    }
    expect(performance.now() - asked).toBeLessThan(10_000);
    for (let index = 0; index < 3; index++)
      bus.publish(CONTENT_REMOVED, { id: 'x', key: 'site/a', version: 1, removedAt: new Date().toISOString() } as never);
    bus.subscribe(CONTENT_UPLOADED, () => {});
    bus.publish(originHeartbeat('a'), { id: 'a' } as never);
    await bus.flush();
    const told = () => lines.filter(({ message }) => message === 'not permitted by the broker').map(({ problem }) => problem);
    await eventually(() => expect(told().some((problem) => problem?.includes('listen on content.uploaded'))).toBe(true));
    expect(told().filter((problem) => problem?.includes('send on origin.other.fetch'))).toHaveLength(1);
    bus.publish(edgeHeartbeat('us-1'), edgeReport());
    await bus.flush();
    expect(bus.connected).toBe(true);
    await bus.close();
  });

  test('of a thousand different things that are not permitted a bounded number is told', async () => {
    const { lines, log } = recordingLog();
    const bus = await connect(edgeAccess(), { log });
    for (let index = 0; index < 1_000; index++) bus.connection.publish(`forbidden.${index}`);
    let refused = 0;
    const last = (async () => {
      for await (const status of bus.connection.status()) if (status.type === 'error' && ++refused >= 1_000) return;
    })();
    await last;
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(64);
    await bus.close();
  });
});
