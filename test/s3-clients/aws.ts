import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Account, type ClientKind, type Described, run, type S3Client } from './client.ts';

/** The AWS command line, version 2 (https://awscli.amazonaws.com/v2/documentation/api/latest/reference/s3/index.html). */
export const aws: ClientKind = { name: 'aws', command: 'aws', debianPackage: 'awscli', version: 'aws-cli/2', create };

async function create({ endpoint, accessKeyId, secretAccessKey, dir }: Account, command: string): Promise<S3Client> {
  const config = join(dir, 'aws-config');
  await writeFile(config, '[default]\nregion = us-east-1\ns3 =\n  addressing_style = path\n');
  const env = {
    HOME: dir,
    AWS_CONFIG_FILE: config,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const s3 = (...args: string[]): Promise<string> => run(command, ['--endpoint-url', endpoint, '--no-cli-pager', ...args], env);
  return {
    name: 'aws',
    makeBucket: async (bucket) => void (await s3('s3', 'mb', `s3://${bucket}`)),
    sync: async (from, bucket) => void (await s3('s3', 'sync', '--only-show-errors', '--delete', from, `s3://${bucket}`)),
    download: async (bucket, to) => void (await s3('s3', 'sync', '--only-show-errors', `s3://${bucket}`, to)),
    async put(file, bucket, path, { contentType, cacheControl, meta }: Described) {
      const options = ['--content-type', contentType ?? '', '--cache-control', cacheControl ?? '', '--metadata', JSON.stringify(meta)];
      await s3('s3', 'cp', '--only-show-errors', file, `s3://${bucket}/${path}`, ...options);
    },
    async describe(bucket, path) {
      const head = JSON.parse(await s3('s3api', 'head-object', '--output', 'json', '--bucket', bucket, '--key', path));
      return { contentType: head.ContentType, cacheControl: head.CacheControl, meta: head.Metadata };
    },
    remove: async (bucket, path) => void (await s3('s3', 'rm', '--only-show-errors', `s3://${bucket}/${path}`)),
    presign: async (bucket, path) => (await s3('s3', 'presign', '--expires-in', '300', `s3://${bucket}/${path}`)).trim(),
  };
}
