import { type Account, type ClientKind, type Described, run, type S3Client } from './client.ts';

/** https://rclone.org/s3/ */
export const rclone: ClientKind = { name: 'rclone', command: 'rclone', debianPackage: 'rclone', create };

async function create({ endpoint, accessKeyId, secretAccessKey, dir }: Account): Promise<S3Client> {
  const env = {
    ...{ HOME: dir, RCLONE_CONFIG: '/dev/null', RCLONE_CONFIG_SLUICE_TYPE: 's3', RCLONE_CONFIG_SLUICE_PROVIDER: 'Other' },
    ...{ RCLONE_CONFIG_SLUICE_ENDPOINT: endpoint, RCLONE_CONFIG_SLUICE_FORCE_PATH_STYLE: 'true', RCLONE_CONFIG_SLUICE_REGION: 'us-east-1' },
    ...{ RCLONE_CONFIG_SLUICE_ACCESS_KEY_ID: accessKeyId, RCLONE_CONFIG_SLUICE_SECRET_ACCESS_KEY: secretAccessKey },
  };
  const rclone = (...args: string[]): Promise<string> => run('rclone', args, env);
  return {
    name: 'rclone',
    makeBucket: async (bucket) => void (await rclone('mkdir', `sluice:${bucket}`)),
    sync: async (from, bucket) => void (await rclone('sync', from, `sluice:${bucket}`)),
    download: async (bucket, to) => void (await rclone('copy', `sluice:${bucket}`, to)),
    async put(file, bucket, path, { contentType, cacheControl, meta }: Described) {
      const fields = [`Content-Type: ${contentType}`, `Cache-Control: ${cacheControl}`];
      for (const [name, value] of Object.entries(meta)) fields.push(`x-amz-meta-${name}: ${value}`);
      await rclone('copyto', file, `sluice:${bucket}/${path}`, ...fields.flatMap((field) => ['--header-upload', field]));
    },
    async describe(bucket, path) {
      const { MimeType, Metadata } = JSON.parse(await rclone('lsjson', '--stat', '--metadata', `sluice:${bucket}/${path}`));
      const { 'content-type': _, 'cache-control': cacheControl, tier: __, btime: ___, mtime: ____, ...meta } = Metadata;
      return { contentType: MimeType, cacheControl, meta };
    },
    remove: async (bucket, path) => void (await rclone('deletefile', `sluice:${bucket}/${path}`)),
    presign: async (bucket, path) => (await rclone('link', '--expire', '5m', `sluice:${bucket}/${path}`)).trim(),
  };
}
