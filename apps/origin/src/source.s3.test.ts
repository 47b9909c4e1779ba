import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { describeOriginOn } from './testing/origin-on-source.ts';
import { s3BucketFixture, s3Server } from './testing/s3-bucket.fixture.ts';

const server = s3Server();

describeOriginOn(
  'a bucket of another service',
  async () => {
    if (server === undefined) throw new Error('there is no S3 server');
    const bucket = await s3BucketFixture(server);
    return {
      config: {
        ORIGIN_SOURCE: 's3',
        ORIGIN_SOURCE_BUCKET: 'site',
        ORIGIN_SOURCE_S3_ENDPOINT: server.endpoint,
        ORIGIN_SOURCE_S3_BUCKET: bucket.name,
        ORIGIN_SOURCE_S3_ACCESS_KEY_ID: server.accessKeyId,
        ORIGIN_SOURCE_S3_SECRET_ACCESS_KEY: server.secretAccessKey,
      },
      isStore: false,
      put: (_, path, content) => bucket.put(path, content, { ContentType: 'text/plain' }),
      remove: async (_, path) => void (await bucket.client.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: path }))),
      async [Symbol.asyncDispose]() {
        bucket[Symbol.dispose]();
      },
    };
  },
  server === undefined,
);
