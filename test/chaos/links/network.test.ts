import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlink } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { isLeftBehind, run } from '../commands.ts';
import { randomOf } from '../random.ts';
import { Network, type NetworkHost } from './network.ts';
import { wiringOf } from './wiring.ts';

const reason = await Network.unavailable();
if (reason !== undefined) console.warn(`tests with network namespaces are skipped: ${reason}`);
const here = test.skipIf(reason !== undefined);

/** Sends back what it gets, on the port that it tells. */
const ECHO = `
const server = require('node:net').createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket));
server.listen(0, process.argv[1], () => console.log(server.address().port));`;
/** Sends as many bytes as it is told to an echo, and tells how long they took to come back. */
const CLIENT = `
const [host, port, bytes, timeout] = process.argv.slice(1);
const start = performance.now();
const socket = require('node:net').connect({ host, port }, () => socket.end(Buffer.alloc(Number(bytes))));
setTimeout(() => { console.log('silence'); process.exit(); }, Number(timeout)).unref();
let got = 0;
socket.on('data', (chunk) => { got += chunk.length; });
socket.on('error', (error) => console.log(error.code));
socket.on('end', () => console.log(got, Math.round(performance.now() - start)));`;

async function scene(names: readonly string[]) {
  const cleanup = new AsyncDisposableStack();
  const network = cleanup.use(await Network.open());
  const hosts = await Promise.all(names.map((name) => network.host(name)));
  return {
    ...{ network, hosts, cleanup },
    async echo(host: NetworkHost): Promise<number> {
      const child = onHost(host, ECHO, host.address);
      cleanup.defer(async () => {
        child.kill('SIGKILL');
        await once(child, 'close');
      });
      const [line] = await once(createInterface({ input: child.stdout as NonNullable<ChildProcess['stdout']> }), 'line');
      return Number(line);
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

function onHost({ prefix: [command, ...prefix] }: NetworkHost, script: string, ...args: readonly string[]): ChildProcess {
  return spawn(command as string, [...prefix, process.execPath, '-e', script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** What a client on a host sees of an echo: bytes and milliseconds, `silence`, or an error's code. */
async function ask(from: NetworkHost, host: string, port: number, { bytes = 1_000, timeoutMs = 30_000 } = {}): Promise<string> {
  const child = onHost(from, CLIENT, host, String(port), String(bytes), String(timeoutMs));
  return String(await buffer(child.stdout as NonNullable<ChildProcess['stdout']>)).trim();
}

const SILENT_MS = { timeoutMs: 1_500 };

here('a partition is between two hosts alone, and ends', async () => {
  await using place = await scene(['a', 'b', 'c']);
  const [a, b, c] = place.hosts as [NetworkHost, NetworkHost, NetworkHost];
  const port = await place.echo(a);
  const heal = await place.network.partition(a, b);
  const asked = [ask(b, a.address, port, SILENT_MS), ask(c, a.address, port)];
  expect(await asked[0]).toBe('silence');
  expect(await asked[1]).toMatch(/^1000 /);
  await heal();
  expect(await ask(b, a.address, port)).toMatch(/^1000 /);
});

here('packets get lost and everything arrives all the same', async () => {
  await using place = await scene(['a', 'b']);
  const [a, b] = place.hosts as [NetworkHost, NetworkHost];
  const port = await place.echo(a);
  await a.drop(['INPUT', '-m', 'statistic', '--mode', 'nth', '--every', '5', '--packet', '3']);
  expect(await ask(b, a.address, port, { bytes: 300_000 })).toMatch(/^300000 /);
  const counted = await run('ip', 'netns', 'exec', a.namespace, 'iptables', '-w', '-nvxL', 'INPUT');
  expect(Number(/^\s*(\d+)\s.*DROP/m.exec(counted)?.[1])).toBeGreaterThan(0);
});

here('the line of a host has the bandwidth that it is given', async () => {
  await using place = await scene(['a', 'b']);
  const [a, b] = place.hosts as [NetworkHost, NetworkHost];
  const port = await place.echo(a);
  const heal = await a.limit(200_000);
  const [bytes, ms] = (await ask(b, a.address, port, { bytes: 200_000 })).split(' ').map(Number);
  expect(bytes).toBe(200_000);
  expect(ms).toBeGreaterThan(700);
  await heal();
  expect(await ask(b, a.address, port, { bytes: 200_000 })).toMatch(/^200000 /);
});

here('the line of a host takes longer where the kernel has netem', async (context) => {
  await using place = await scene(['a', 'b']);
  const [a, b] = place.hosts as [NetworkHost, NetworkHost];
  if (!(await a.canDelay())) context.skip('this kernel has no netem');
  const port = await place.echo(a);
  await a.delay(100);
  expect(Number((await ask(b, a.address, port)).split(' ')[1])).toBeGreaterThanOrEqual(400);
});

here('a link of a client on a host loses packets and swallows connections there, for this client alone', async () => {
  await using place = await scene(['service', 'a', 'b']);
  const [service, a, b] = place.hosts as [NetworkHost, NetworkHost, NetworkHost];
  const port = await place.echo(service);
  const wiring = place.cleanup.use(
    wiringOf({ random: randomOf(1), network: place.network, hostsOf: async (client) => place.hosts.filter(({ name }) => name === client) }),
  );
  const target = { host: service.address, port };
  const links = [await wiring.link('a', 'broker', target), await wiring.link('b', 'broker', target)] as const;
  await links[0].lose?.(0.2);
  expect(await ask(a, links[0].host, links[0].port, { bytes: 50_000 })).toMatch(/^50000 /);
  await links[0].heal();
  await links[0].blackhole();
  const asked = [ask(a, links[0].host, links[0].port, SILENT_MS), ask(b, links[1].host, links[1].port)];
  expect(await asked[0]).toBe('silence');
  expect(await asked[1]).toMatch(/^1000 /);
  await links[0].heal();
  expect(await ask(a, links[0].host, links[0].port)).toMatch(/^1000 /);
});

here('nothing stays behind: neither of a network that is over, nor of a process that was killed', async () => {
  {
    await using place = await scene(['a']);
    expect(await run('ip', 'netns', 'list')).toContain((place.hosts[0] as NetworkHost).namespace);
  }
  const module = JSON.stringify(new URL('network.ts', import.meta.url).href);
  const script = `const { Network } = await import(${module}); const network = await Network.open(); await network.host('a'); console.log('open'); setInterval(() => {}, 1000)`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(createInterface({ input: child.stdout }), 'line');
  const left = async (): Promise<string[]> =>
    (await run('ip', 'netns', 'list')).split('\n').filter((name) => name.includes(`-${child.pid}-`));
  expect(await left()).toHaveLength(2);
  await Network.sweep();
  expect(await left()).toHaveLength(2);
  child.kill('SIGKILL');
  await once(child, 'close');
  expect((await left()).every((line) => isLeftBehind(line))).toBe(true);
  await Network.sweep();
  expect(await left()).toEqual([]);
  expect(await run('ip', 'link')).not.toContain(`sl${child.pid}r`);
});

here('what runs on a host has a network of its own and the mounts of everybody: what is unmounted is unmounted for it too', async () => {
  await using stage = await scene(['one']);
  const namespaces = "console.log(['net', 'mnt'].map((name) => require('node:fs').readlinkSync('/proc/self/ns/' + name)).join())";
  const child = onHost(stage.hosts[0] as NetworkHost, namespaces);
  const [net, mnt] = (await buffer(child.stdout as NonNullable<ChildProcess['stdout']>)).toString().trim().split(',');
  expect(mnt).toBe(await readlink('/proc/self/ns/mnt'));
  expect(net).not.toBe(await readlink('/proc/self/ns/net'));
});
