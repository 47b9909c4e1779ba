/** A process whose disk answers slowly: the kernel's own throttle, for one process and one block device. */
import { access, mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isLeftBehind, OWN_PREFIX } from '../commands.ts';

/** Of version 1 of control groups: there a process can be moved to a group of one controller alone, and back, without touching who manages the others. */
const GROUPS = '/sys/fs/cgroup/blkio';
const READS = 'blkio.throttle.read_iops_device';
const WRITES = 'blkio.throttle.write_iops_device';

let groups = 0;

export async function isSlowingPossible(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may do that';
  const found = await access(join(GROUPS, WRITES)).then(
    () => true,
    () => false,
  );
  return found ? undefined : 'there is no blkio controller of control groups version 1';
}

export class SlowedProcess {
  readonly #group: string;
  readonly #pid: number;
  readonly #home: string;

  private constructor(group: string, pid: number, home: string) {
    this.#group = group;
    this.#pid = pid;
    this.#home = home;
  }

  /** `device`: major and minor number, `7:0`. */
  static async begin({ pid, device, operationsPerSecond }: { pid: number; device: string; operationsPerSecond: number }) {
    groups += 1;
    const group = join(GROUPS, `${OWN_PREFIX}${groups}`);
    const slowed = new SlowedProcess(group, pid, join(GROUPS, await groupOf(pid)));
    await mkdir(group, { recursive: true });
    for (const throttle of [READS, WRITES]) await writeFile(join(group, throttle), `${device} ${operationsPerSecond}`);
    await writeFile(join(group, 'cgroup.procs'), String(pid));
    return slowed;
  }

  /** Removes the groups of processes that ended without doing so. A group in which a process still ends stays for the next time. */
  static async sweep(): Promise<void> {
    for (const name of await readdir(GROUPS).catch(() => [])) if (isLeftBehind(name)) await rmdir(join(GROUPS, name)).catch(() => {});
  }

  /** As fast as before; harmless when the process has ended. */
  async end(): Promise<void> {
    await writeFile(join(this.#home, 'cgroup.procs'), String(this.#pid)).catch(() => {});
    await rmdir(this.#group);
  }
}

/** Where it is now: `/` or the path below {@link GROUPS}. */
async function groupOf(pid: number): Promise<string> {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n');
  return /^\d+:blkio:(.*)$/.exec(lines.find((line) => line.includes(':blkio:')) ?? '')?.[1] ?? '/';
}
