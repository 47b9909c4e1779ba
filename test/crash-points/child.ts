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

/** An app that may be started and stopped several times, each time as a process that ends itself at the point. */
export function hostOfChildren(file: string, options: ChildOptions) {
  let child: ManagedProcess | undefined;
  let killed = false;
  const { promise: died, reject } = Promise.withResolvers<never>();
  died.catch(() => {});
  return {
    died,
    async start(): Promise<string> {
      const started = await startChild(file, options);
      child = started.child;
      void child.ended.then((how) => {
        if (!how.includes('SIGKILL')) return;
        killed = true;
        reject(new Error(how));
      });
      if (started.port === undefined) throw new Error(`did not start: ${await child.ended}`);
      return `http://127.0.0.1:${started.port}`;
    },
    async stop(): Promise<void> {
      await child?.stop();
      if (killed) throw new Error('was killed');
    },
    /** Whether it was killed in one of its lives. */
    async end(): Promise<boolean> {
      if (!killed && child?.running) killed = await endOf(child);
      return killed;
    },
  };
}
