/** What a supervisor sees of an app: exit codes, and what is printed where. */
import { join } from 'node:path';
import { ManagedProcess } from '@sluice/stack';
import { describe, expect, test } from 'vitest';

const SMALL_APP = join(import.meta.dirname, '../fixtures/small-app.ts');

/** Starts the small app; it is killed with the scope. */
function start(env: Record<string, string>) {
  const app = new ManagedProcess({ name: 'small-app', command: process.execPath, args: [SMALL_APP], env });
  const line = (text: string) => app.waitForLine((found) => (found.includes(text) ? found : undefined), 10_000);
  return { app, line, [Symbol.asyncDispose]: () => app.kill() };
}

describe('an app as a process', () => {
  test('with a configuration that cannot work prints every problem at once and exits 2, before it does anything', async () => {
    await using small = start({
      SMALL_STOP: 'slowly',
      SMALL_DEADLINE_MS: '0',
      SMALL_DEADLIN_MS: '5',
      LOG_LEVEL: 'loud',
      NATS_URL: 'http://x/',
    });
    expect(await small.app.ended).toBe('exited with 2');
    const { tail } = small.app;
    expect(tail).toContain('the configuration has 5 problems:');
    for (const name of ['SMALL_STOP', 'SMALL_DEADLINE_MS', 'SMALL_DEADLIN_MS', 'LOG_LEVEL', 'NATS_URL'])
      expect(tail).toContain(`  ${name}: `);
    expect(tail).not.toContain('listening');
    expect(tail).not.toMatch(/\bat .*:\d+:\d+/);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('exits 0 after %s when every step succeeded', async (signal) => {
    await using small = start({ SMALL_STOP: 'clean' });
    await small.line('listening');
    small.app.signal(signal);
    expect(await small.app.ended).toBe('exited with 0');
  });

  test('exits 1 when a step fails', async () => {
    await using small = start({ SMALL_STOP: 'fail' });
    await small.line('listening');
    small.app.signal('SIGTERM');
    expect(await small.app.ended).toBe('exited with 1');
    expect(small.app.tail).toContain('cannot stop');
  });

  test.each(['hang', 'idle'])('exits 1 at the deadline when a step does not end (%s)', async (how) => {
    await using small = start({ SMALL_STOP: how, SMALL_DEADLINE_MS: '100' });
    await small.line('listening');
    small.app.signal('SIGTERM');
    expect(await small.app.ended).toBe('exited with 1');
    expect(small.app.tail).toContain('stop deadline passed');
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('exits 1 at once when %s comes while it is stopping', async (signal) => {
    await using small = start({ SMALL_STOP: 'hang', SMALL_DEADLINE_MS: '60000' });
    await small.line('listening');
    small.app.signal('SIGTERM');
    await small.line('stopping');
    small.app.signal(signal);
    expect(await small.app.ended).toBe('exited with 1');
    expect(small.app.tail).not.toContain('stop deadline passed');
  });
});
