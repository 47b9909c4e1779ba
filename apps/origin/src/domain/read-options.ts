/** What the query of a GET or HEAD asks for: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html */
import { fieldValue } from '@sluice/contracts';
import { S3Error } from './s3-error.ts';

const OVERRIDES = ['content-type', 'content-language', 'expires', 'cache-control', 'content-disposition', 'content-encoding'] as const;
const PARTS_MAX = 10_000;

/** Header fields that take the place of the object's own. @throws {S3Error} `InvalidArgument` */
export function responseOverrides(query: URLSearchParams): [name: string, value: string][] {
  return OVERRIDES.flatMap((name) => {
    const value = query.get(`response-${name}`);
    if (value === null) return [];
    const checked = fieldValue.safeParse(value);
    if (!checked.success) throw new S3Error('InvalidArgument', `response-${name}: ${checked.error.issues[0]?.message}`);
    return [[name, checked.data] as [string, string]];
  });
}

/** The part that is asked for, from 1 on; undefined when the whole is. @throws {S3Error} `InvalidArgument`, `InvalidRequest` */
export function requestedPart(query: URLSearchParams, range: string | undefined): number | undefined {
  const text = query.get('partNumber');
  if (text === null) return undefined;
  const number = Number(text);
  if (!/^\d{1,5}$/.test(text) || number < 1 || number > PARTS_MAX) {
    throw new S3Error('InvalidArgument', `partNumber: must be a number from 1 to ${PARTS_MAX}`);
  }
  if (range !== undefined) throw new S3Error('InvalidRequest', 'ask for a Range or for a partNumber, not for both');
  return number;
}

/**
 * The bytes `start … end` of a part; undefined when it has none. An object that was uploaded in one piece is its own part 1.
 * @throws {S3Error} `InvalidPartNumber`
 */
export function partRange(size: number, part: number): { readonly start: number; readonly end: number } | undefined {
  if (part !== 1) throw new S3Error('InvalidPartNumber', `the object has one part, not ${part}`);
  return size === 0 ? undefined : { start: 0, end: size - 1 };
}
