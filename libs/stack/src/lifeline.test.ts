import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';

/** Starts two children, one of them paused, ends a third, and stays. */
const PARENT = `
const { ManagedProcess } = await import(${JSON.stringify(join(import.meta.dirname, 'mod.ts'))});
const start = () => new ManagedProcess({ name: 'child', command: 'sleep', args: ['1000'] });
const children = [start(), start(), start()];
children[1].signal('SIGSTOP');
await children[2].kill();
console.log(JSON.stringify(children.map(({ pid }) => pid)));
`;

/** Whether it runs or is paused; one that has ended and waits for some init to take note does neither. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

async function parent(then: string) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PARENT + then], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const pids = JSON.parse(line) as [number, number, number];
  return { child, pids };
}

test('children end with a parent that was killed, also paused ones', async () => {
  const { child, pids } = await parent('');
  expect(pids.map(alive)).toEqual([true, true, false]);
  child.kill('SIGKILL');
  await eventually(() => expect(pids.map(alive)).toEqual([false, false, false]));
});

test('children end with a parent that exits without stopping them', async () => {
  const { child, pids } = await parent('process.exit(3);');
  if (child.exitCode === null) await once(child, 'exit');
  expect(child.exitCode).toBe(3);
  await eventually(() => expect(pids.map(alive)).toEqual([false, false, false]));
});
