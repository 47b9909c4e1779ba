import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect } from 'vitest';
import { describeOriginOn } from './testing/origin-on-source.ts';

describeOriginOn('its own store', async () => ({
  config: {},
  isStore: true,
  async put(origin, path, content) {
    const stored = await fetch(`${origin.url}/site/${path}`, { method: 'PUT', body: content, headers: { 'content-type': 'text/plain' } });
    expect(stored.status).toBe(200);
  },
  async remove(origin, path) {
    expect((await fetch(`${origin.url}/site/${path}`, { method: 'DELETE' })).status).toBe(204);
  },
  async [Symbol.asyncDispose]() {},
}));

describeOriginOn('a directory', async () => {
  const dir = await temporaryDirectory();
  return {
    config: { ORIGIN_SOURCE: 'directory', ORIGIN_SOURCE_DIRECTORY: dir.path, ORIGIN_SOURCE_BUCKET: 'site' },
    isStore: false,
    async put(_, path, content) {
      await mkdir(dirname(join(dir.path, path)), { recursive: true });
      await writeFile(join(dir.path, path), content);
    },
    remove: (_, path) => rm(join(dir.path, path)),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
});
