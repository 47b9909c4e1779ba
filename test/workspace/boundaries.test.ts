import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** What the linter, set up as in this repository, says of `source` if it stood at `path`. */
async function lint(path: string, source: string): Promise<{ readonly refused: boolean; readonly output: string }> {
  await using copy = await temporaryDirectory();
  await copyFile(join(ROOT, 'biome.json'), join(copy.path, 'biome.json'));
  await mkdir(dirname(join(copy.path, path)), { recursive: true });
  await writeFile(join(copy.path, path), source);
  const args = ['lint', '--error-on-warnings', '--vcs-enabled=false', '--colors=off', '.'];
  const result = spawnSync(join(ROOT, 'node_modules/.bin/biome'), args, { cwd: copy.path, encoding: 'utf8' });
  return { refused: result.status !== 0, output: result.stdout + result.stderr };
}

const importing = (specifier: string): string => `import { thing } from '${specifier}';\nexport const used = thing;\n`;

describe('dependency direction', () => {
  test.each([
    ['apps/edge/src/domain/rule.ts', '@sluice/bus'],
    ['apps/edge/src/domain/rule.ts', 'node:fs'],
    ['apps/edge/src/domain/rule.ts', 'node:fs/promises'],
    ['apps/edge/src/domain/rule.ts', 'pino'],
    ['apps/edge/src/domain/rule.ts', '../adapters/catalog-index.ts'],
    ['apps/controller/src/domain/rule.ts', '../main.ts'],
    ['apps/edge/src/adapters/adapter.ts', '../main.ts'],
    ['apps/edge/src/adapters/adapter.ts', '@nats-io/transport-node'],
    ['apps/edge/src/app.ts', '@sluice/origin'],
    ['apps/edge/src/app.ts', '@sluice/bus/src/bus.ts'],
    ['libs/blobs/src/blob-store.ts', '@sluice/origin'],
    ['libs/contracts/src/values.ts', '@sluice/runtime'],
    ['libs/contracts/src/values.ts', 'node:crypto'],
  ])('%s may not import %s', async (path, specifier) => {
    const { refused, output } = await lint(path, importing(specifier));
    expect(output).toContain('noRestrictedImports');
    expect(refused).toBe(true);
  });

  test.each([
    ['apps/edge/src/domain/rule.ts', '@sluice/contracts'],
    ['apps/edge/src/adapters/adapter.ts', '@sluice/bus'],
    ['apps/edge/src/adapters/adapter.ts', '../domain/entry.ts'],
    ['libs/blobs/src/blob-store.ts', 'node:fs/promises'],
  ])('%s may import %s', async (path, specifier) => {
    const { output } = await lint(path, importing(specifier));
    expect(output).toMatch(/Checked .*2 files/); // the file and biome.json
    expect(output).not.toContain('noRestrictedImports');
  });
});
