import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** Prints the priorities of a thread that was started before, and of the one that comes after it. */
const SCRIPT = `
  import { getPriority } from 'node:os';
  import { Worker } from 'node:worker_threads';
  import { comeAfterOtherThreads } from ${JSON.stringify(join(import.meta.dirname, 'thread-priority.ts'))};
  const worker = new Worker("import { parentPort } from 'node:worker_threads'; import os from 'node:os'; parentPort.on('message', () => parentPort.postMessage(os.getPriority(0)))", { eval: true });
  worker.once('online', () => {
    const before = getPriority(0);
    comeAfterOtherThreads();
    worker.once('message', (other) => {
      process.stdout.write(JSON.stringify({ before, other, own: getPriority(0) }));
      worker.terminate();
    });
    worker.postMessage('tell');
  });
`;

test.runIf(process.platform === 'linux')('the thread that comes after the others leaves them where they are', () => {
  const told = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', SCRIPT], { encoding: 'utf8' }));
  expect(told).toEqual({ before: told.before, other: told.before, own: Math.min(19, told.before + 5) });
});
