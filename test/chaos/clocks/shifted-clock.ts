/** A process whose wall clock can be put forward and back while it runs: libfaketime between it and the system. What measures durations goes on as before. */
import { access, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { isRunning } from '../commands.ts';

const LIBRARIES = '/usr/lib';
/** The one for processes with threads. */
const LIBRARY = 'faketime/libfaketimeMT.so.1';
const SHARED_MEMORY = '/dev/shm';
const LEFT_BEHIND = /^(?:faketime_shm|sem\.faketime_sem)_(\d+)$/;
/** How long a process may go on with the time before it looks again. */
export const NOTICED_AFTER_MS = 1_000;

export class ShiftedClock {
  /** Variables with which to start the process, again after each end. */
  readonly env: Readonly<Record<string, string>>;
  readonly #controlFile: string;

  private constructor(library: string, controlFile: string) {
    this.#controlFile = controlFile;
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: controlFile,
      FAKETIME_CACHE_DURATION: String(NOTICED_AFTER_MS / 1000),
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // Times of files are the file system's, which keeps the right ones.
      NO_FAKE_STAT: '1',
    };
  }

  /** Why clocks cannot be shifted here; undefined: they can. */
  static async unavailable(): Promise<string | undefined> {
    return (await findLibrary()) === undefined
      ? `there is no ${LIBRARY} below ${LIBRARIES} (Debian: apt-get install libfaketime)`
      : undefined;
  }

  /** `controlFile`: of this clock alone, in a directory that is there. @throws where {@link unavailable} has a reason */
  static async create(controlFile: string): Promise<ShiftedClock> {
    const library = await findLibrary();
    if (library === undefined) throw new Error(await ShiftedClock.unavailable());
    await sweep();
    const clock = new ShiftedClock(library, controlFile);
    await clock.shift(0);
    return clock;
  }

  /** The process's clock is that of the machine and so much more; it notices within {@link NOTICED_AFTER_MS}. */
  async shift(ms: number): Promise<void> {
    const seconds = ms / 1000;
    // Never half a file: it is read at any moment.
    await writeFile(`${this.#controlFile}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    await rename(`${this.#controlFile}.new`, this.#controlFile);
  }
}

/** Removes what the library leaves in shared memory when a process is killed: a clock of a process that has got the same pid would find it. */
async function sweep(): Promise<void> {
  for (const name of await readdir(SHARED_MEMORY).catch(() => [])) {
    const pid = LEFT_BEHIND.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) await rm(`${SHARED_MEMORY}/${name}`, { force: true });
  }
}

/** Debian has it below the directory of its architecture, others directly. */
async function findLibrary(): Promise<string | undefined> {
  const directories = await readdir(LIBRARIES).catch(() => []);
  for (const path of [`${LIBRARIES}/${LIBRARY}`, ...directories.map((directory) => `${LIBRARIES}/${directory}/${LIBRARY}`)]) {
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
