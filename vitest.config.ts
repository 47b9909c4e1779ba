import { defineConfig } from 'vitest/config';

const PROJECTS = [
  'libs/contracts',
  'libs/bus',
  'libs/blobs',
  'libs/credentials',
  'libs/delta',
  'libs/http-semantics',
  'libs/runtime',
  'libs/signed-url',
  'libs/signing',
  'libs/sigv4',
  'libs/sqlite',
  'libs/stack',
  'libs/testkit',
  'apps/origin',
  'apps/controller',
  'apps/edge',
  'apps/cli',
];

export default defineConfig({
  test: {
    reporters: ['default', './test/summary-reporter.ts'],
    // One for each core: most of a test's time is spent in processes that it started, or waiting for them.
    maxWorkers: 2,
    projects: [
      ...PROJECTS.map((root) => ({
        // Many start brokers and processes, several files at a time: on a busy machine of two cores 5 s are soon over.
        test: {
          name: root.split('/')[1] as string,
          root,
          include: ['src/**/*.test.ts'],
          exclude: ['src/**/*.s3.test.ts'],
          testTimeout: 20_000,
        },
      })),
      {
        // An S3 server of its own, which takes a while to come up: one for all files, each with buckets of its own.
        test: {
          name: 's3-source',
          root: 'apps/origin',
          include: ['src/**/*.s3.test.ts'],
          globalSetup: ['src/testing/s3-server.fixture.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      { test: { name: 'bench', root: 'bench', include: ['**/*.test.ts'], testTimeout: 60_000 } },
      {
        // The origin dies some hundred times.
        test: { name: 'crash-points', root: 'test/crash-points', include: ['*.test.ts'], testTimeout: 180_000, hookTimeout: 60_000 },
      },
      { test: { name: 'workspace', root: 'test/workspace', include: ['*.test.ts'], testTimeout: 60_000 } },
      {
        // Hostile input: a share of what `npm run fuzz` does, see docs/fuzzing.md.
        test: { name: 'fuzz', root: 'test/fuzz', include: ['**/*.test.ts'], testTimeout: 60_000, hookTimeout: 120_000 },
      },
      {
        // Stacks on which everything breaks that can, one after the other.
        test: {
          name: 'chaos',
          root: 'test/chaos',
          include: ['chaos.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        // The parts of the chaos suite: what each fault does, apart from any stack.
        test: {
          name: 'chaos-parts',
          root: 'test/chaos',
          include: ['{links,disks,clocks,faults,checker,report}/*.test.ts', 'plan.test.ts'],
          testTimeout: 60_000,
        },
      },
      {
        // A stack and a browser for each file: they take turns on this machine's cores.
        test: {
          name: 'clients',
          root: 'test/clients',
          include: ['*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        // Several origins on one bucket: a stack for each test beside an S3 server, one after the other.
        test: {
          name: 'sources',
          root: 'test/sources',
          include: ['*.test.ts'],
          globalSetup: ['../../apps/origin/src/testing/s3-server.fixture.ts'],
          testTimeout: 240_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        // A stack for each test, of which the broker is in the hands of somebody else.
        test: {
          name: 'takeover',
          root: 'test/takeover',
          include: ['*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        // Controllers, brokers and edges that die, sleep and restart under load: a stack for each test, one after the other.
        test: {
          name: 'redundancy',
          root: 'test/redundancy',
          include: ['*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        // A stack for each client, and large objects: one after the other.
        test: {
          name: 's3-clients',
          root: 'test/s3-clients',
          include: ['*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        // Needs a Docker engine; the files share it, its cache of layers and this machine's cores, so they take turns.
        test: {
          name: 'containers',
          root: 'test/containers',
          include: ['*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
