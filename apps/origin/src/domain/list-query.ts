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

/** How names are written in a list: as they are, or percent-encoded for what XML cannot say. @throws {S3Error} `InvalidArgument` */
export function nameEncoder(query: URLSearchParams): (name: string) => string {
  const encoding = query.get('encoding-type');
  if (encoding === null) return (name) => name;
  if (encoding !== 'url') throw new S3Error('InvalidArgument', 'encoding-type: must be url');
  return (name) => encodeURIComponent(name).replaceAll('%2F', '/');
}
