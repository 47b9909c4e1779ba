/**
 * A disk of a process's own: an ext4 file system in a file, on a loop device, mounted where the process keeps its data. It can be full, fail so that the kernel
 * makes it read-only, and be slow, while the process has its files open; all of that is the system's own doing.
 */
import { mkdir, open, readdir, readFile, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { commandsMissing, isLeftBehind, OWN_PREFIX, run } from '../commands.ts';
import { isSlowingPossible, SlowedProcess } from './slow-io.ts';

/** Smaller ones are mostly journal. */
export const DISK_MIN_BYTES = 32 * 1024 * 1024;
const BALLAST = '.ballast';
/** What is left for the last, small writes when a disk is filled. */
const LAST_BYTES = 1024 * 1024;
const BLOCK = Buffer.alloc(4096, 0xff);

let disks = 0;

export interface OwnDiskOptions {
  /** Where to mount it. */
  readonly path: string;
  readonly sizeBytes: number;
}

export class OwnDisk implements AsyncDisposable {
  readonly path: string;
  readonly #image: string;
  #device = '';

  readonly #sizeBytes: number;

  private constructor(path: string, image: string, sizeBytes: number) {
    this.path = path;
    this.#image = image;
    this.#sizeBytes = sizeBytes;
  }

  /** Why there can be none here; undefined: there can. */
  static async unavailable(): Promise<string | undefined> {
    const missing = await commandsMissing('mount', 'umount', 'losetup', 'findmnt', 'mkfs.ext4', 'fsck.ext4');
    if (missing !== undefined) return missing;
    const path = join(tmpdir(), `${OWN_PREFIX}probe`);
    try {
      await (await OwnDisk.create({ path, sizeBytes: DISK_MIN_BYTES }))[Symbol.asyncDispose]();
      return undefined;
    } catch (error) {
      return (error as Error).message;
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  }

  /** Unmounts and removes the disks of processes that ended without doing so. */
  static async sweep(): Promise<void> {
    const { loopdevices = [] } = JSON.parse((await run('losetup', '--list', '--json', '--output', 'NAME,BACK-FILE')) || '{}') as {
      loopdevices?: { readonly name: string; readonly 'back-file': string | null }[];
    };
    for (const { name, 'back-file': image } of loopdevices) {
      if (image === null || !isLeftBehind(basename(image))) continue;
      await run('umount', '--lazy', name).catch(() => {});
      await run('losetup', '--detach', name).catch(() => {});
    }
    for (const name of await readdir(tmpdir())) if (isLeftBehind(name)) await rm(join(tmpdir(), name), { recursive: true, force: true });
    await SlowedProcess.sweep();
  }

  static async create({ path, sizeBytes }: OwnDiskOptions): Promise<OwnDisk> {
    await OwnDisk.sweep();
    disks += 1;
    const disk = new OwnDisk(path, join(tmpdir(), `${OWN_PREFIX}disk-${disks}`), sizeBytes);
    try {
      await writeFile(disk.#image, '');
      await truncate(disk.#image, sizeBytes);
      // All of it for everybody: blocks that are reserved for root would be found by who runs as root.
      await run('mkfs.ext4', '-q', '-m', '0', disk.#image);
      await disk.#mount();
      return disk;
    } catch (error) {
      await disk[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #mount(): Promise<void> {
    await mkdir(this.path, { recursive: true });
    await run('mount', '-o', 'loop,errors=remount-ro', this.#image, this.path);
    this.#device = basename((await run('findmnt', '--noheadings', '--output', 'SOURCE', '--mountpoint', this.path)).trim());
  }

  /** Takes all room that is left. What is freed afterwards is free. */
  async fill(): Promise<void> {
    const { bavail, blocks, bsize } = await statfs(this.path);
    // Never that of others.
    if (blocks * bsize > this.#sizeBytes) throw new Error(`the disk is not mounted at ${this.path} any more`);
    const ballast = await open(join(this.path, BALLAST), 'a');
    try {
      const bytes = bavail * bsize - LAST_BYTES;
      if (bytes > 0) await run('fallocate', '--length', String(bytes), join(this.path, BALLAST));
      for (;;) await ballast.write(BLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      await ballast.close();
    }
  }

  /** Ends {@link fill}. */
  async free(): Promise<void> {
    await rm(join(this.path, BALLAST), { force: true });
  }

  /** The file system meets an error and becomes read-only, also for who has files open for writing. Ends with {@link repair}. */
  async fail(): Promise<void> {
    await writeFile(`/sys/fs/ext4/${this.#device}/trigger_fs_error`, 'chaos');
  }

  /** Checks the file system and mounts it again. Whoever uses it has to be stopped before. */
  async repair(): Promise<void> {
    await run('umount', this.path);
    // It says 1 when it has mended something, which is why it is called.
    await run('fsck.ext4', '-p', '-f', this.#image).catch(async () => run('fsck.ext4', '-p', '-f', this.#image));
    await this.#mount();
  }

  /** Why it cannot be made slow here; undefined: it can. */
  static slowingUnavailable(): Promise<string | undefined> {
    return isSlowingPossible();
  }

  /** Lets a process do so many reads and so many writes of this disk each second; what the system has in memory is as fast as before. */
  async slow(pid: number, operationsPerSecond: number): Promise<SlowedProcess> {
    const device = (await readFile(`/sys/block/${this.#device}/dev`, 'utf8')).trim();
    return SlowedProcess.begin({ pid, device, operationsPerSecond });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', '--lazy', this.path).catch(() => {});
    await rm(this.#image, { force: true });
  }
}
