import { join } from 'node:path';
import { ManagedProcess } from '@sluice/stack';

export const MAIN = join(import.meta.dirname, '..', 'main.ts');

/** An origin in a process of its own, which can be killed. */
export async function startProcess(
  dir: string,
  natsUrl: string,
  more: Record<string, string> = {},
  logFile?: string,
): Promise<{ origin: ManagedProcess; url: string }> {
  const env = { ORIGIN_PORT: '0', ORIGIN_DATA_DIR: dir, NATS_URL: natsUrl, LOG_LEVEL: 'info', ...more };
  const log = logFile === undefined ? {} : { logFile };
  const origin = new ManagedProcess({ name: 'origin', command: process.execPath, args: [MAIN], env, ...log });
  const port = await origin.waitForLine((line) => {
    const entry = line.startsWith('{') ? JSON.parse(line) : {};
    return entry.msg === 'listening' ? (entry.port as number) : undefined;
  }, 20_000);
  return { origin, url: `http://127.0.0.1:${port}` };
}
