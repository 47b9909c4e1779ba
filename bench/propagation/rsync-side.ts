import { execFileSync, spawn } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort, ManagedProcess } from '@sluice/stack';

/** What people use instead: an rsync daemon with one module for each target, fed by one `rsync` for each target in parallel. */
export class RsyncSide implements AsyncDisposable {
  readonly #process: ManagedProcess;
  readonly #port: number;
  readonly #targets: number;
  readonly #dir: string;

  private constructor(process: ManagedProcess, port: number, targets: number, dir: string) {
    this.#process = process;
    this.#port = port;
    this.#targets = targets;
    this.#dir = dir;
  }

  static isInstalled(): boolean {
    try {
      execFileSync('rsync', ['--version'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  }

  static async start(dir: string, targets: number): Promise<RsyncSide> {
    const port = await freePort();
    const modules: string[] = [];
    for (let target = 0; target < targets; target++) {
      const path = join(dir, `target-${target}`);
      await mkdir(path, { recursive: true });
      modules.push(`[target-${target}]\npath = ${path}\nread only = false\n`);
    }
    const config = join(dir, 'rsyncd.conf');
    await writeFile(
      config,
      `use chroot = no\nport = ${port}\naddress = 127.0.0.1\nmax connections = 0\n${process.getuid?.() === 0 ? 'uid = root\ngid = root\n' : ''}\n${modules.join('\n')}`,
    );
    const daemon = new ManagedProcess({
      name: 'rsync',
      command: 'rsync',
      args: ['--daemon', '--no-detach', `--config=${config}`, '--log-file=/dev/null'],
    });
    await listening(port, daemon);
    return new RsyncSide(daemon, port, targets, dir);
  }

  /** A file or directory (with a slash at the end: its contents) to all targets in parallel. */
  async deliver(source: string): Promise<void> {
    await Promise.all(Array.from({ length: this.#targets }, (_, target) => this.#send(source, target)));
  }

  #send(source: string, target: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn('rsync', ['-a', source, `rsync://127.0.0.1:${this.#port}/target-${target}/`], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      child.once('error', reject);
      child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`rsync exited with ${code}`))));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

async function listening(port: number, daemon: ManagedProcess): Promise<void> {
  while (daemon.running) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the rsync daemon ${await daemon.ended}\n${daemon.tail}`);
}
