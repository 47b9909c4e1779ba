import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DIGEST_BYTES, type DigestAlgorithm } from '../../domain/upload-digests.ts';
import { BodyDigests } from './body-digests.ts';

const ALL = Object.keys(DIGEST_BYTES) as DigestAlgorithm[];

async function digestsOf(chunks: Uint8Array[]) {
  const digests = await BodyDigests.create(ALL);
  for (const chunk of chunks) digests.update(chunk);
  return digests.finish();
}

test('the published check values of "123456789" come out', async () => {
  expect(await digestsOf([Buffer.from('123456789')])).toEqual({
    crc32: 'cbf43926',
    crc32c: 'e3069283',
    crc64nvme: 'ae8b14860a799888',
    md5: '25f9e794323b453885f5181f1b624d0b',
    sha1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
    sha256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
  });
});

test('of nothing the cyclic checks are zero, in full width', async () => {
  expect(await digestsOf([])).toMatchObject({ crc32: '00000000', crc32c: '00000000', crc64nvme: '0000000000000000' });
});

test('how a body is cut into chunks does not matter', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300), { maxLength: 5 }), async (bytes, cuts) => {
      const points = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const chunks = points.slice(1).map((end, index) => bytes.slice(points[index], end));
      expect(await digestsOf(chunks)).toEqual(await digestsOf([bytes]));
    }),
  );
});

test('bodies being digested at the same time do not mix', async () => {
  const [a, b] = await Promise.all([BodyDigests.create(ALL), BodyDigests.create(ALL)]);
  a.update(Buffer.from('12345'));
  b.update(Buffer.from('other'));
  a.update(Buffer.from('6789'));
  expect(a.finish()).toMatchObject({ crc32c: 'e3069283', crc64nvme: 'ae8b14860a799888' });
});
