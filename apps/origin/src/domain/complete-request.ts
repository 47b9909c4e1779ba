/** The document of CompleteMultipartUpload: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html */
import { z } from 'zod';
import { type ListedPart, PARTS_MAX } from './multipart.ts';
import { type ChecksumAlgorithm, checksumElement } from './object-checksums.ts';
import { CHECKSUM_ALGORITHMS } from './upload-digests.ts';

/** Largest document: 10,000 parts with an ETag and a checksum take 1.9 MB. */
export const COMPLETE_MAX_BYTES = 2 * 1024 ** 2;

const text = z.string().trim();
const part = z.object({
  PartNumber: text.regex(/^[0-9]{1,5}$/, 'must be a whole number'),
  ETag: text,
  ...(Object.fromEntries(CHECKSUM_ALGORITHMS.map((algorithm) => [checksumElement(algorithm), text.optional()])) as Record<
    string,
    z.ZodOptional<typeof text>
  >),
});

/** Its content, as the parts that it lists. */
export const completeRequest = z
  .object({ Part: z.array(part, 'must be there').min(1, 'must be there').max(PARTS_MAX, `must be at most ${PARTS_MAX}`) })
  .transform(({ Part }): ListedPart[] =>
    Part.map((fields) => ({
      number: Number(fields.PartNumber),
      etag: fields.ETag.replaceAll('"', ''),
      checksums: listedChecksums(fields),
    })),
  );

function listedChecksums(fields: Readonly<Record<string, string | undefined>>): ListedPart['checksums'] {
  const checksums: Partial<Record<ChecksumAlgorithm, string>> = {};
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = fields[checksumElement(algorithm)];
    if (value) checksums[algorithm] = value;
  }
  return checksums;
}
