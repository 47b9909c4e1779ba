/** What the query of a GET or HEAD asks for: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html */
import { fieldValue } from '@sluice/contracts';
import { partNumberOf } from './multipart.ts';
import { S3Error } from './s3-error.ts';

const OVERRIDES = ['content-type', 'content-language', 'expires', 'cache-control', 'content-disposition', 'content-encoding'] as const;

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
  const number = partNumberOf(text);
  if (range !== undefined) throw new S3Error('InvalidRequest', 'ask for a Range or for a partNumber, not for both');
  return number;
}
