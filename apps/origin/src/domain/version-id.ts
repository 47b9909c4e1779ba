/** S3's version ids: here the version of the upload, or of the removal, in decimal. */
import { S3Error } from './s3-error.ts';

/** The version that a request names; undefined: the current one. @throws {S3Error} `InvalidArgument` */
export function versionAsked(id: string | null | undefined): number | undefined {
  // What S3 calls objects of a bucket without versions.
  if (id === null || id === undefined || id === 'null') return undefined;
  if (!/^\d{1,16}$/.test(id) || !Number.isSafeInteger(Number(id))) {
    throw new S3Error('InvalidArgument', 'versionId: there is no such version id; ListObjectVersions tells which there are');
  }
  return Number(id);
}
