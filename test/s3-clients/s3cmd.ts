import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Account, type ClientKind, type Described, run, type S3Client } from './client.ts';

/** https://s3tools.org/usage */
export const s3cmd: ClientKind = { name: 's3cmd', command: 's3cmd', debianPackage: 's3cmd', create };

async function create({ endpoint, accessKeyId, secretAccessKey, dir }: Account): Promise<S3Client> {
  const { host } = new URL(endpoint);
  const config = join(dir, 's3cfg');
  const lines = [
    `access_key = ${accessKeyId}`,
    `secret_key = ${secretAccessKey}`,
    `host_base = ${host}`,
    `host_bucket = ${host}`,
    'use_https = False',
  ];
  await writeFile(config, ['[default]', ...lines, 'signature_v2 = False', ''].join('\n'));
  const s3cmd = (...args: string[]): Promise<string> => run('s3cmd', ['--config', config, '--no-progress', ...args], { HOME: dir });
  return {
    name: 's3cmd',
    makeBucket: async (bucket) => void (await s3cmd('mb', `s3://${bucket}`)),
    sync: async (from, bucket) => void (await s3cmd('sync', '--delete-removed', `${from}/`, `s3://${bucket}/`)),
    download: async (bucket, to) => void (await s3cmd('sync', `s3://${bucket}/`, `${to}/`)),
    async put(file, bucket, path, { contentType, cacheControl, meta }: Described) {
      const fields = [`Cache-Control:${cacheControl}`, ...Object.entries(meta).map(([name, value]) => `x-amz-meta-${name}:${value}`)];
      await s3cmd('put', `--mime-type=${contentType}`, ...fields.map((field) => `--add-header=${field}`), file, `s3://${bucket}/${path}`);
    },
    async describe(bucket, path) {
      const info = await s3cmd('info', `s3://${bucket}/${path}`);
      const line = (name: string): string | undefined => new RegExp(`^\\s*${name}:\\s*(.*)$`, 'im').exec(info)?.[1];
      const meta = Object.fromEntries([...info.matchAll(/^\s*x-amz-meta-([^:]+):\s*(.*)$/gim)].map(([, name, value]) => [name, value]));
      return { contentType: line('MIME type'), cacheControl: undefined, meta };
    },
    remove: async (bucket, path) => void (await s3cmd('del', `s3://${bucket}/${path}`)),
    // Of Signature Version 2, whatever the configuration says: https://github.com/s3tools/s3cmd/blob/master/S3/Crypto.py
    presign: async (bucket, path) => (await s3cmd('signurl', `s3://${bucket}/${path}`, '+300')).trim(),
  };
}
