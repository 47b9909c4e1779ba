/** The Docker engine of these tests. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The repository: build context and place of compose.yaml. */
export const REPOSITORY = resolve(import.meta.dirname, '../..');
/** The image these tests build. One name, so that the engine's cache of layers serves them all. */
export const IMAGE = 'sluice-test';

/** Runs `docker …` and returns what it prints. @throws with its output when it fails */
export async function docker(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { stdout } = await run('docker', [...args], { cwd: REPOSITORY, env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

/**
 * Whether there is an engine with Compose. Without one these tests cannot run: they say so and are skipped, but where `CI` is `true` nothing is
 * skipped silently.
 * @throws when there is none and CI=true
 */
export async function hasEngine(): Promise<boolean> {
  try {
    await docker(['version', '--format', '{{.Server.Version}}']);
    await docker(['compose', 'version']);
    return true;
  } catch (error) {
    const problem = `no Docker engine with Compose answers: ${(error as Error).message.trim().split('\n').at(-1)}`;
    if (process.env.CI === 'true') throw new Error(problem);
    console.warn(`skipped: ${problem}`);
    return false;
  }
}

/** A name that no other run has. */
export function uniqueName(): string {
  return `sluice-test-${randomBytes(4).toString('hex')}`;
}

/** The URL under which a container's port is published. It changes when the container is started again. */
export async function publishedUrl(container: string, port: number): Promise<string> {
  const address = (await docker(['port', container, String(port)])).split('\n')[0];
  return `http://${address}`;
}
