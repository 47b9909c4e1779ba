import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, ManagedProcess } from '@sluice/stack';
import { describe, expect, test } from 'vitest';

function startMain(env: Record<string, string>): ManagedProcess {
  return new ManagedProcess({ name: 'controller', command: process.execPath, args: [`${import.meta.dirname}/main.ts`], env });
}

describe('the process', () => {
  test('is alive without a broker, says what it waits for, and ends cleanly on SIGTERM', async () => {
    const controller = startMain({ CONTROLLER_PORT: '0', NATS_URL: `nats://127.0.0.1:${await freePort()}` });
    try {
      const line = await controller.waitForLine((text) => (text.includes('"listening"') ? text : undefined), 20_000);
      const { host, port } = JSON.parse(line) as { host: string; port: number };
      expect((await fetch(`http://${host}:${port}/healthz`)).status).toBe(200);
      const ready = await fetch(`http://${host}:${port}/readyz`);
      expect([ready.status, await ready.json()]).toMatchObject([503, { problems: { broker: 'not connected' } }]);
    } finally {
      expect(await controller.stop()).toBe('exited with 0');
    }
  }, 30_000);

  test('with a wrong configuration prints every problem and exits 2', async () => {
    const controller = startMain({ CONTROLLER_PORT: 'x', CONTROLLER_LEASE_MS: '1' });
    expect(await controller.ended).toBe('exited with 2');
    expect(controller.tail).toContain('CONTROLLER_PORT: must be a port number');
    expect(controller.tail).toContain('CONTROLLER_LEASE_MS: must be');
  }, 30_000);

  test('with a file of admin tokens that cannot be used says what to do, quotes nothing of it, and exits 2', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-tokens-'));
    const file = join(dir, 'tokens');
    await writeFile(file, 'hush');
    for (const [path, problem] of [
      [file, 'line 1: must be a token'],
      [join(dir, 'none'), 'set CONTROLLER_ADMIN_TOKEN_FILE'],
    ] as const) {
      const controller = startMain({ CONTROLLER_PORT: '0', CONTROLLER_ADMIN_TOKEN_FILE: path });
      expect(await controller.ended).toBe('exited with 2');
      expect(controller.tail).toContain(problem);
      expect(controller.tail).not.toContain('hush');
    }
    await rm(dir, { recursive: true });
  }, 30_000);
});
