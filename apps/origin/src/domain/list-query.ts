import { S3Error } from './s3-error.ts';

/** Entries of a page, which S3 does not exceed whatever is asked for. */
export const PAGE_MAX = 1_000;

/** A whole number of a list's query, `fallback` without it. @throws {S3Error} `InvalidArgument` */
export function wholeNumber(query: URLSearchParams, name: string, fallback: number): number {
  const value = query.get(name);
  if (value === null || value === '') return fallback;
  if (!/^[0-9]{1,10}$/.test(value) || Number(value) >= 2 ** 31) {
    throw new S3Error('InvalidArgument', `${name}: must be a whole number from 0 to ${2 ** 31 - 1}`);
  }
  return Number(value);
}

/** Entries of a page that are asked for: {@link PAGE_MAX} without a word, and no more. @throws {S3Error} `InvalidArgument` */
export function pageLimit(query: URLSearchParams, name: string): number {
  return Math.min(wholeNumber(query, name, PAGE_MAX), PAGE_MAX);
}

/** How names are written in a list: as they are, or percent-encoded for what XML cannot say. @throws {S3Error} `InvalidArgument` */
export function nameEncoder(query: URLSearchParams): (name: string) => string {
  const encoding = query.get('encoding-type');
  if (encoding === null) return (name) => name;
  if (encoding !== 'url') throw new S3Error('InvalidArgument', 'encoding-type: must be url');
  return encodeName;
}

/** Percent-encoding of all but RFC 3986's unreserved characters and "/". */
function encodeName(name: string): string {
  return encodeURIComponent(name).replace(/%2F|[!'()*]/g, (found) =>
    found === '%2F' ? '/' : `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
