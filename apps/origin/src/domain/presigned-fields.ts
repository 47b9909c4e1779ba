/** The fields of a request that its presigned URL carries in the query, because whoever opens it sends none. */
import { isPresigned } from './signature-claim.ts';

/** What the signature itself is made of, by lower-case names. */
const OF_THE_SIGNATURE = /^x-amz-(?:algorithm|credential|date|expires|signedheaders|signature|security-token)$/;
const CHECKSUM = /^x-amz-checksum-/;
/** Says that the client's library computed the checksum, which it did over no body: there was none when the URL was made. */
const COMPUTED = 'x-amz-sdk-checksum-algorithm';

/** By lower-case names, as header fields are. S3 takes them as such too; leaving one out would store something else than was signed. */
export function presignedFields(query: URLSearchParams): Record<string, string> {
  if (!isPresigned(query)) return {};
  const fields: [name: string, value: string][] = [];
  for (const [name, value] of query) {
    const field = name.toLowerCase();
    if (!field.startsWith('x-amz-') || OF_THE_SIGNATURE.test(field)) continue;
    if (CHECKSUM.test(field) && query.has(COMPUTED)) continue;
    fields.push([field, value]);
  }
  return Object.fromEntries(fields);
}
