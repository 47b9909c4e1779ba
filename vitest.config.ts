import { defineConfig } from 'vitest/config';

const PROJECTS = [
  'libs/contracts',
  'libs/bus',
  'libs/blobs',
  'libs/delta',
  'libs/runtime',
  'libs/stack',
  'libs/testkit',
  'apps/origin',
  'apps/controller',
  'apps/edge',
  'apps/cli',
];

export default defineConfig({
  test: {
    projects: PROJECTS.map((root) => ({
      test: { name: root.split('/')[1] as string, root, include: ['src/**/*.test.ts'] },
    })),
  },
});
