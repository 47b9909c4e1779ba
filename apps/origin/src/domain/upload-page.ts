/** A page of the uploads that are open: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html */

import { commonPrefix } from './object-listing.ts';

/** An upload by its key below the bucket. */
export interface ListedUpload {
  readonly key: string;
  readonly id: string;
}

export interface UploadPage<Upload extends ListedUpload> {
  readonly uploads: readonly Upload[];
  readonly commonPrefixes: readonly string[];
  /** Where the next page begins; undefined when this is the last. An `id` of '' goes on behind all uploads of the key. */
  readonly next: ListedUpload | undefined;
}

export interface PageRequest {
  readonly prefix: string;
  /** '' for none. */
  readonly delimiter: string;
  readonly keyMarker: string;
  readonly max: number;
}

/** Makes a page of `sorted` uploads, which begin behind the marker and all begin with the prefix. Keys up to the delimiter behind the prefix count as one entry. */
export function pageOfUploads<Upload extends ListedUpload>(
  sorted: Iterable<Upload>,
  { prefix, delimiter, keyMarker, max }: PageRequest,
): UploadPage<Upload> {
  const scope = { prefix, delimiter: delimiter === '' ? undefined : delimiter };
  const uploads: Upload[] = [];
  const commonPrefixes: string[] = [];
  let last: ListedUpload | undefined;
  for (const upload of sorted) {
    const common = commonPrefix(scope, upload.key);
    // A page may have ended with it.
    if (common !== undefined && (common === keyMarker || common === commonPrefixes.at(-1))) continue;
    if (uploads.length + commonPrefixes.length === max) return { uploads, commonPrefixes, next: last };
    if (common === undefined) uploads.push(upload);
    else commonPrefixes.push(common);
    last = common === undefined ? { key: upload.key, id: upload.id } : { key: common, id: '' };
  }
  return { uploads, commonPrefixes, next: undefined };
}
