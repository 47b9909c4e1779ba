/** Which content gets variants with a content coding (RFC 9110 §8.4), and how much work goes into them. */
import type { Variant } from '@sluice/contracts';
import { parseCacheControl, parseTargetedCacheControl } from '@sluice/http-semantics';
import compressible from 'compressible';
import type { UploadFields } from './upload-headers.ts';

/** Below this the fields that tell of a coding take what it saves. */
export const CODED_MIN_BYTES = 256;
/** Content is coded as a whole, so this bounds the memory that it takes: up to five times as much for each thread, measured. */
export const CODED_MAX_BYTES = 32 * 1024 * 1024;
/** A variant larger than this share of the content is not kept: it would take room on every edge for little. */
const WORTHWHILE_SHARE = 0.95;
export interface CodingEffort {
  readonly coding: 'br' | 'zstd' | 'gzip';
  /** In the scale of the coding itself. */
  readonly level: number;
}

const MIB = 1024 * 1024;

/**
 * The codings to try for content of so many bytes, at the highest level that takes about two seconds at most: a thread cannot be stopped inside of one. Measured on text,
 * one core: br 11 0.9 MB/s, br 10 2.3, br 9 20; zstd 19 4, zstd 15 9; gzip 9 20.
 */
export function codingEfforts(sizeBytes: number): readonly CodingEffort[] {
  return [
    { coding: 'br', level: sizeBytes <= 2 * MIB ? 11 : sizeBytes <= 4 * MIB ? 10 : 9 },
    // RFC 9659 §3: a receiver need not take a window above 8 MiB, which is what levels up to 19 use at most.
    { coding: 'zstd', level: sizeBytes <= 8 * MIB ? 19 : 15 },
    { coding: 'gzip', level: 9 },
  ];
}

/** Most bytes that a variant of so many bytes may have. */
export function worthwhileBytes(sizeBytes: number): number {
  return Math.floor(sizeBytes * WORTHWHILE_SHARE);
}

/**
 * Whether content is to have variants: of a type that compresses, with no coding of its own, and neither forbidden to be changed on its way
 * (RFC 9111 §5.2.2.6) nor to be kept by an edge.
 */
export function wantsVariants(fields: UploadFields, sizeBytes: number): boolean {
  if (sizeBytes < CODED_MIN_BYTES || sizeBytes > CODED_MAX_BYTES || fields.contentEncoding !== undefined) return false;
  if (compressible(fields.contentType) !== true) return false;
  const said = fields.cacheControl === undefined ? undefined : parseCacheControl(fields.cacheControl);
  if (said?.has('no-transform') === true) return false;
  const forEdges = parseTargetedCacheControl(fields.cdnCacheControl) ?? said;
  return forEdges === undefined || !(forEdges.has('no-store') || forEdges.has('private') || forEdges.has('no-transform'));
}

/** Whether a manifest names exactly these variants. */
export function namesVariants(named: readonly Variant[] | undefined, variants: readonly Variant[]): boolean {
  if ((named?.length ?? 0) !== variants.length) return false;
  return variants.every(({ coding, sha256 }) => named?.some((other) => other.coding === coding && other.sha256 === sha256));
}
