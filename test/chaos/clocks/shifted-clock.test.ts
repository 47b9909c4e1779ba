import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { ShiftedClock } from './shifted-clock.ts';

const reason = await ShiftedClock.unavailable();
if (reason !== undefined) console.warn(`tests with shifted clocks are skipped: ${reason}`);

const HOUR_MS = 3_600_000;
/** Tells both of its clocks, and those of a thread, ten times a second, and when each has been told twenty times that the thread's timer goes on. */
const CLOCKS = `
const { Worker } = require('node:worker_threads');
const tell = (wall, steady) => console.log(JSON.stringify({ wall, steady }));
setInterval(() => tell(Date.now(), performance.timeOrigin + performance.now()), 100);
new Worker("const { parentPort } = require('node:worker_threads'); setInterval(() => parentPort.postMessage(Date.now()), 100)", { eval: true }).on('message', (wall) => tell(wall));`;

test.skipIf(reason !== undefined)(
  'the wall clock of a running process goes forward and back by hours, in all its threads, and its durations go on',
  async () => {
    await using dir = await temporaryDirectory();
    const clock = await ShiftedClock.create(join(dir.path, 'clock'));
    const child = spawn(process.execPath, ['-e', CLOCKS], { env: { ...process.env, ...clock.env }, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const lines = createInterface({ input: child.stdout });
      let steadyMs = 0;
      for (const hours of [0, 3, -5, 0]) {
        await clock.shift(hours * HOUR_MS);
        const seen = { main: false, thread: false };
        for await (const [line] of onLines(lines)) {
          const { wall, steady } = JSON.parse(line) as { wall: number; steady?: number };
          if (Math.abs(wall - Date.now() - hours * HOUR_MS) < 60_000) seen[steady === undefined ? 'thread' : 'main'] = true;
          if (steady !== undefined) {
            expect(steady).toBeGreaterThanOrEqual(steadyMs);
            expect(steady).toBeLessThan(Date.now() + 60_000);
            steadyMs = steady;
          }
          if (seen.main && seen.thread) break;
        }
      }
    } finally {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
  },
  30_000,
);

async function* onLines(lines: ReturnType<typeof createInterface>): AsyncGenerator<[string]> {
  for (;;) yield (await once(lines, 'line')) as [string];
}
