import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** There is no `nats-server` and it could not be installed. The message says what to run. */
export class NatsServerMissingError extends Error {
  constructor(detail: string) {
    super(
      `nats-server was not found on the PATH${detail}. Install it and try again: "sudo apt-get install nats-server" (Debian, Ubuntu), ` +
        '"brew install nats-server" (macOS), or see https://docs.nats.io/running-a-nats-service/introduction/installation',
    );
    this.name = 'NatsServerMissingError';
  }
}

/** The path of a `nats-server`; installs the platform's package when there is none and this user may. @throws {NatsServerMissingError} */
export async function findNatsServer(say: (message: string) => void = () => {}): Promise<string> {
  const found = await which('nats-server');
  if (found !== undefined) return found;
  const install = await installCommand();
  if (install === undefined) throw new NatsServerMissingError('');
  say(`installing nats-server: ${install.map((command) => command.join(' ')).join(' && ')}`);
  for (const [command, ...args] of install) {
    try {
      await run(command as string, args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
    } catch (error) {
      throw new NatsServerMissingError(`, and "${[command, ...args].join(' ')}" failed: ${(error as Error).message.trim()}`);
    }
  }
  // Debian's package starts a service of its own on port 4222, without JetStream. It was not there before, so nobody misses it.
  if (process.platform === 'linux' && (await which('systemctl')) !== undefined) {
    await run('systemctl', ['disable', '--now', 'nats-server']).catch(() => {});
  }
  const installed = await which('nats-server');
  if (installed === undefined) throw new NatsServerMissingError(', also after installing it');
  return installed;
}

async function installCommand(): Promise<string[][] | undefined> {
  if (process.platform === 'linux' && process.getuid?.() === 0 && (await which('apt-get')) !== undefined) {
    return [
      ['apt-get', '-qq', 'update'],
      ['apt-get', '-qq', 'install', '-y', '--no-install-recommends', 'nats-server'],
    ];
  }
  if (process.platform === 'darwin' && (await which('brew')) !== undefined) return [['brew', 'install', 'nats-server']];
  return undefined;
}

async function which(command: string): Promise<string | undefined> {
  for (const dir of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    if (dir === '') continue;
    const path = join(dir, command);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {}
  }
  return undefined;
}
