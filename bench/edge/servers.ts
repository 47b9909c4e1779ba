/** The servers that are measured side by side, each on the same core with the same objects. */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, ManagedProcess, Stack } from '@sluice/stack';

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

/** Starts an edge with its stack, and nginx and Varnish where they are installed, all with `objects`. */
export async function startServers(dir: string, objects: ReadonlyMap<string, Uint8Array>, core: number): Promise<Servers> {
  const files = join(dir, 'files');
  await mkdir(join(files, 'bench'), { recursive: true });
  for (const [name, bytes] of objects) await writeFile(join(files, 'bench', name), bytes);
  const processes: ManagedProcess[] = [];
  const stack = await Stack.start({ dataDir: join(dir, 'stack'), edges: [{ id: 'us-1', region: 'US' }] });
  const all: Server[] = [await sluice(stack, objects, core)];
  if (isInstalled('nginx', '-v')) {
    const nginx = await startNginx(join(dir, 'nginx'), files, core);
    processes.push(nginx.process);
    all.push(...nginx.servers);
    const [origin] = nginx.servers;
    if (isInstalled('varnishd', '-V') && origin !== undefined) {
      const varnish = await startVarnish(join(dir, 'varnish'), Number(new URL(origin.urlOf('x')).port), core);
      processes.push(varnish.process);
      all.push(varnish.server);
    }
  }
  for (const server of all) for (const object of objects.keys()) await warm(server.urlOf(object));
  return {
    all,
    async [Symbol.asyncDispose]() {
      for (const process of processes) await process.stop();
      await stack.stop();
    },
  };
}

async function sluice(stack: Stack, objects: ReadonlyMap<string, Uint8Array>, core: number): Promise<Server> {
  for (const [name, body] of objects) {
    const { ok, status } = await fetch(`${stack.origin.url}/bench/${name}`, { method: 'PUT', body: new Uint8Array(body) });
    if (!ok) throw new Error(`upload of ${name}: ${status}`);
  }
  const edge = stack.edge('us-1');
  execFileSync('taskset', ['-a', '-c', '-p', String(core), String(edge.pid)], { stdio: 'ignore' });
  return { name: 'Sluice', urlOf: (object) => `${edge.url}/bench/${object}` };
}

async function startNginx(dir: string, files: string, core: number): Promise<{ process: ManagedProcess; servers: Server[] }> {
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

async function startVarnish(dir: string, backend: number, core: number): Promise<{ process: ManagedProcess; server: Server }> {
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
    'malloc,256m',
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

/** Until it is a hit everywhere; the edge gets its push within moments. */
async function warm(url: string): Promise<void> {
  for (let attempt = 1; attempt <= 100; attempt += 1) {
    const response = await fetch(url);
    await response.arrayBuffer();
    if (response.ok && attempt >= 3) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${url} is not served`);
}
