import { expect, test } from 'vitest';
import { S3Error, toS3Error } from './s3-error.ts';

test('an unexpected failure is told to the client without its text', () => {
  const error = toS3Error(new Error('/var/lib/secret'));
  expect(error).toMatchObject({ code: 'InternalError', status: 500, retryable: true });
  expect(error.message).not.toContain('secret');
  expect(toS3Error(new S3Error('NoSuchKey', 'x'))).toMatchObject({ status: 404, retryable: false });
});
