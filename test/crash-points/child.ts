import { join } from 'node:path';
import { ManagedProcess } from '@sluice/stack';
import type { CrashPoint } from './crash-points.ts';

/** What a child is told in `CRASH_POINT`. */
export interface ChildOptions {
  readonly point: CrashPoint;
  readonly strike: 'killed-before' | 'killed-after';
  readonly dir: string;
  readonly natsUrl: string;
}

/** Long for one that is to die soon. */
const DIES_WITHIN_MS = 5_000;

/** Starts an app that will end itself at a point. Without a port it did so before it listened. */
export async function startChild(file: string, options: ChildOptions): Promise<{ child: ManagedProcess; port: number | undefined }> {
  const env = { CRASH_POINT: JSON.stringify(options) };
  const child = new ManagedProcess({ name: file, command: process.execPath, args: [join(import.meta.dirname, file)], env });
  const listening = child.waitForLine((line) => {
    const entry = line.startsWith('{') ? JSON.parse(line) : {};
    return entry.msg === 'listening' ? (entry.port as number) : undefined;
  }, 30_000);
  return { child, port: await listening.catch(() => undefined) };
}

/** Whether a child ended itself; one that never came to its point is stopped, and may come to it then. */
export async function endOf(child: ManagedProcess): Promise<boolean> {
  const timer = new Promise<undefined>((resolve) => setTimeout(resolve, DIES_WITHIN_MS, undefined).unref());
  const how = (await Promise.race([child.ended, timer])) ?? (await child.stop());
  return how.includes('SIGKILL');
}
