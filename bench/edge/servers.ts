/** The servers that are measured side by side, each on the same core with the same objects. */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, ManagedProcess, Stack } from '@sluice/stack';
import { firstLine } from '../machine.ts';
import { say } from '../publish.ts';

const EDGE_ID = 'us-1';

export interface Server {
  readonly name: string;
  /** Where an object of the bucket `bench` is. */
  urlOf(object: string): string;
}

export interface Servers extends AsyncDisposable {
  readonly all: readonly Server[];
}

export function isInstalled(command: string, flag: string): boolean {
  try {
    execFileSync(command, [flag], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export interface ServersOptions {
  /** A directory that has the directory `bench` with all objects, for nginx. */
  readonly files: string;
  /** Brings the same objects into the data directory of an edge that has not been started. */
  readonly prepareEdge: (dataDir: string) => Promise<void>;
  /** Where each of them runs. */
  readonly core: number;
  /** For content, where a server has such a bound: the edge and Varnish. */
  readonly memoryBytes: number;
}

/** Starts an edge with its stack, and nginx and Varnish where they are installed. */
export async function startServers(dir: string, options: ServersOptions): Promise<Servers> {
  const processes: ManagedProcess[] = [];
  const stack = await startStack(join(dir, 'stack'), options);
  const edge = stack.edge(EDGE_ID);
  const all: Server[] = [{ name: 'Sluice', urlOf: (object) => `${edge.url}/bench/${object}` }];
  const missing = [
    ['nginx', '-v'],
    ['varnishd', '-V'],
  ].filter(([command, flag]) => !isInstalled(command as string, flag as string));
  for (const [command] of missing) say(`${command} is not installed: it is left out`);
  if (isInstalled('nginx', '-v')) {
    const nginx = await startNginx(join(dir, 'nginx'), options);
    processes.push(nginx.process);
    all.push(...nginx.servers);
    const [origin] = nginx.servers;
    if (isInstalled('varnishd', '-V') && origin !== undefined) {
      const varnish = await startVarnish(join(dir, 'varnish'), Number(new URL(origin.urlOf('x')).port), options);
      processes.push(varnish.process);
      all.push(varnish.server);
    }
  }
  return {
    all,
    async [Symbol.asyncDispose]() {
      for (const process of processes) await process.stop();
      await stack.stop();
    },
  };
}

/** Names and versions of those that are installed. */
export function serverVersions(): string[] {
  const said = { nginx: firstLine('nginx', '-v'), Varnish: firstLine('varnishd', '-V'), wrk: firstLine('wrk', '-v') };
  return Object.entries(said).flatMap(([name, line]) => {
    const version = /\d+(?:\.\d+)+/.exec(line)?.[0];
    return version === undefined ? [] : [`${name} ${version}`];
  });
}

/** One serving thread, and the whole process on one core, as the others have it. */
async function startStack(dir: string, { prepareEdge, core, memoryBytes }: ServersOptions): Promise<Stack> {
  await prepareEdge(join(dir, `edge-${EDGE_ID}`));
  const env = { EDGE_SERVING_THREADS: '1', EDGE_MEMORY_BYTES: String(memoryBytes) };
  const stack = await Stack.start({ dataDir: dir, edges: [{ id: EDGE_ID, region: 'US', env }] });
  pinTo(stack.edge(EDGE_ID).pid, String(core));
  return stack;
}

/** All threads of a process, and those that they start. `cores` as for taskset: `0`, `0,1`. */
export function pinTo(pid: number, cores: string): void {
  execFileSync('taskset', ['-a', '-c', '-p', cores, String(pid)], { stdio: 'ignore' });
}

async function startNginx(dir: string, { files, core }: ServersOptions): Promise<{ process: ManagedProcess; servers: Server[] }> {
  await mkdir(dir, { recursive: true });
  const [statics, cache] = [await freePort(), await freePort()];
  const config = join(dir, 'nginx.conf');
  // As it is tuned where it has to be fast; everything that the comparison is about is on.
  await writeFile(
    config,
    `daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; default_type application/octet-stream;
  open_file_cache max=10000 inactive=600s; open_file_cache_valid 600s;
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi; uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
  proxy_cache_path ${dir}/cache keys_zone=bench:64m max_size=2g inactive=1h;
  server { listen 127.0.0.1:${statics}; root ${files}; }
  server {
    listen 127.0.0.1:${cache};
    location / { proxy_pass http://127.0.0.1:${statics}; proxy_cache bench; proxy_cache_valid 200 1h; add_header X-Cache $upstream_cache_status; }
  }
}
`,
  );
  const child = new ManagedProcess({ name: 'nginx', command: 'taskset', args: ['-c', String(core), 'nginx', '-p', dir, '-c', config] });
  await answering(statics, child);
  const servers = [
    { name: 'nginx static', urlOf: (object: string) => `http://127.0.0.1:${statics}/bench/${object}` },
    { name: 'nginx proxy_cache', urlOf: (object: string) => `http://127.0.0.1:${cache}/bench/${object}` },
  ];
  return { process: child, servers };
}

async function startVarnish(
  dir: string,
  backend: number,
  { core, memoryBytes }: ServersOptions,
): Promise<{ process: ManagedProcess; server: Server }> {
  await mkdir(dir, { recursive: true });
  const port = await freePort();
  const vcl = join(dir, 'bench.vcl');
  await writeFile(
    vcl,
    `vcl 4.1; backend default { .host = "127.0.0.1"; .port = "${backend}"; } sub vcl_backend_response { set beresp.ttl = 1h; }\n`,
  );
  const args = [
    '-c',
    String(core),
    'varnishd',
    ...['-j', 'none'], // the bench's directory is its user's alone
    '-F',
    '-n',
    join(dir, 'work'),
    '-a',
    `127.0.0.1:${port}`,
    '-T',
    'none',
    '-f',
    vcl,
    '-s',
    `malloc,${memoryBytes}`,
  ];
  const child = new ManagedProcess({ name: 'varnishd', command: 'taskset', args });
  await answering(port, child);
  return { process: child, server: { name: 'Varnish', urlOf: (object) => `http://127.0.0.1:${port}/bench/${object}` } };
}

async function answering(port: number, child: ManagedProcess): Promise<void> {
  while (child.running) {
    const answered = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${child.name} ${await child.ended}\n${child.tail}`);
}
