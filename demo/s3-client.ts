/** A directory brought in by an S3 client of other people's making. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Stage } from './stage.ts';

const run = promisify(execFile);

const DOCS = resolve(import.meta.dirname, '../docs/decisions');
const BUCKET = 'decisions';
const KEY = { id: 'anyone', secret: 'without-a-keys-file-any-key-will-do' };

interface S3Client {
  readonly name: string;
  readonly command: string;
  /** Command lines that make the bucket and sync a directory into it. */
  lines(endpoint: string, dir: string): readonly (readonly string[])[];
  env(endpoint: string): Readonly<Record<string, string>>;
}

const CLIENTS: readonly S3Client[] = [
  {
    name: 'rclone sync',
    command: 'rclone',
    lines: (_endpoint, dir) => [['sync', dir, `demo:${BUCKET}`]],
    env: (endpoint) => ({
      ...{
        RCLONE_CONFIG: '/dev/null',
        RCLONE_CONFIG_DEMO_TYPE: 's3',
        RCLONE_CONFIG_DEMO_PROVIDER: 'Other',
        RCLONE_CONFIG_DEMO_ENDPOINT: endpoint,
      },
      ...{
        RCLONE_CONFIG_DEMO_FORCE_PATH_STYLE: 'true',
        RCLONE_CONFIG_DEMO_ACCESS_KEY_ID: KEY.id,
        RCLONE_CONFIG_DEMO_SECRET_ACCESS_KEY: KEY.secret,
      },
    }),
  },
  {
    name: 'aws s3 sync',
    command: 'aws',
    lines: (endpoint, dir) => [
      ['--endpoint-url', endpoint, 's3', 'mb', `s3://${BUCKET}`],
      ['--endpoint-url', endpoint, 's3', 'sync', '--only-show-errors', dir, `s3://${BUCKET}`],
    ],
    env: () => ({
      AWS_ACCESS_KEY_ID: KEY.id,
      AWS_SECRET_ACCESS_KEY: KEY.secret,
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
    }),
  },
  {
    name: 's3cmd sync',
    command: 's3cmd',
    lines: (endpoint, dir) => {
      const { host } = new URL(endpoint);
      const always = [
        `--access_key=${KEY.id}`,
        `--secret_key=${KEY.secret}`,
        `--host=${host}`,
        `--host-bucket=${host}`,
        '--no-ssl',
        '--quiet',
      ];
      return [
        [...always, 'mb', `s3://${BUCKET}`],
        [...always, 'sync', `${dir}/`, `s3://${BUCKET}/`],
      ];
    },
    env: () => ({}),
  },
];

/** With the first client that is installed. Without any it says so and is as good as played. */
export async function s3Client(stage: Stage): Promise<void> {
  const endpoint = stage.stack.origin.url;
  for (const { name, command, lines, env } of CLIENTS) {
    if (!(await isInstalled(command))) continue;
    for (const line of lines(endpoint, DOCS)) {
      await run(command, [...line], { env: { PATH: process.env.PATH, HOME: stage.stack.dataDir, LANG: 'C.UTF-8', ...env(endpoint) } });
    }
    const names = await readdir(DOCS);
    for (const edge of ['us-1', 'eu-1', 'in-1']) {
      let served = 0;
      for (const file of names) {
        const content = await readFile(join(DOCS, file));
        await stage.until(`${file} at ${edge}`, async () =>
          (await stage.visit(edge, `${BUCKET}/${file}`)).body.equals(content) ? true : undefined,
        );
        served += 1;
      }
      stage.check(served === names.length, `${edge} serves each of the ${names.length} files that "${name}" brought`);
    }
    return;
  }
  stage.note('none of rclone, aws and s3cmd is installed: not played');
}

async function isInstalled(command: string): Promise<boolean> {
  try {
    await run('which', [command]);
    return true;
  } catch {
    return false;
  }
}
