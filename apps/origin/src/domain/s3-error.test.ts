import { SluiceError } from '@sluice/contracts';
import { expect, test } from 'vitest';
import { MESSAGE_MAX_CHARACTERS, S3Error, toS3Error } from './s3-error.ts';

test('an unexpected failure is told to the client without its text', () => {
  const error = toS3Error(new Error('/var/lib/secret'));
  expect(error).toMatchObject({ code: 'InternalError', status: 500, retryable: true });
  expect(error.message).not.toContain('secret');
  expect(toS3Error(new S3Error('NoSuchKey', 'x'))).toMatchObject({ status: 404, retryable: false });
});

test.each(['BLOB_MISSING', 'SOURCE_AWAY', 'BUSY'])(
  'content that cannot be read at its source for now (%s) is a 503 that tells nothing of the source',
  (code) => {
    const error = toS3Error(new SluiceError(code, 'the directory /srv/secret cannot be read', { retryable: true }));
    expect(error).toMatchObject({ code: 'ServiceUnavailable', status: 503, retryable: true });
    expect(error.message).not.toContain('secret');
    expect(toS3Error(new SluiceError(code, 'for good'))).toMatchObject({ status: 500 });
  },
);

test(`a refusal has at most ${MESSAGE_MAX_CHARACTERS} characters, whatever it quotes`, () => {
  const { message } = new S3Error('InvalidTag', `the tag "${'\u{1f600}'.repeat(MESSAGE_MAX_CHARACTERS)}" is too long`);
  expect(message).toHaveLength(MESSAGE_MAX_CHARACTERS);
  expect(message.isWellFormed()).toBe(true);
});
