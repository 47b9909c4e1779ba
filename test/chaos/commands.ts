/** Programs of the system that faults are made of. */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
/** None of them has reason to take longer, however busy the machine. */
const TIMEOUT_MS = 60_000;

/** What a command prints. @throws with its last words when it fails */
export async function run(command: string, ...args: readonly string[]): Promise<string> {
  try {
    return (await execute(command, args, { timeout: TIMEOUT_MS })).stdout;
  } catch (error) {
    const { stderr, message } = error as Error & { readonly stderr?: string };
    throw new Error(`"${[command, ...args].join(' ')}" failed: ${stderr?.trim() || message}`);
  }
}

/** Why these commands cannot be used as root here; undefined: they can. */
export async function commandsMissing(...commands: readonly string[]): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may do that';
  const missing: string[] = [];
  for (const command of commands) if (!(await isOnPath(command))) missing.push(command);
  return missing.length === 0 ? undefined : `there is no ${missing.join(', no ')} on the PATH`;
}

async function isOnPath(command: string): Promise<boolean> {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    const found = await access(join(dir, command), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}

/** What this process leaves on the machine has a name that begins so: what is left by a process that was killed can be found by the next one. */
export const OWN_PREFIX = `sluice-chaos-${process.pid}-`;
const OF_RUNNER = /sluice-chaos-(\d+)-/;

/** Whether a name was given by a process that runs no more. Names of others are nobody's business. */
export function isLeftBehind(name: string): boolean {
  const pid = OF_RUNNER.exec(name)?.[1];
  return pid !== undefined && !isRunning(Number(pid));
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
