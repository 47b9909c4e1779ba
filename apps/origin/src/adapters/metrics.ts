import { counter, type Registry } from '@sluice/runtime';
import { S3_ERROR_CODES } from '../domain/s3-error.ts';

export type OriginMetrics = ReturnType<typeof createOriginMetrics>;

/** What the origin's parts count. Gauges over the catalog and the store are added where those are opened. */
export function createOriginMetrics(registry: Registry) {
  return {
    uploads: counter(registry, 'sluice_origin_uploads_total', 'Uploads of objects and parts by outcome', 'outcome', [
      'stored', // durable and in the catalog
      'refused', // the client's mistake
      'aborted', // the client went away
      'failed', // the origin's fault: disk full, too busy, broken
    ]),
    multipart: counter(registry, 'sluice_origin_multipart_total', 'Multipart uploads that ended, by outcome', 'outcome', [
      'completed',
      'aborted',
      'expired', // abandoned
    ]),
    uploadBytes: counter(
      registry,
      'sluice_origin_upload_bytes_total',
      'Bytes of uploads that were stored: objects, parts, and objects made of parts',
    ),
    removals: counter(registry, 'sluice_origin_removals_total', 'Objects deleted'),
    invalidations: counter(registry, 'sluice_origin_invalidations_total', 'Invalidations recorded'),
    httpRequests: counter(registry, 'sluice_origin_http_requests_total', 'HTTP answers by status class', 'class', [
      '2xx',
      '3xx',
      '4xx',
      '5xx',
    ]),
    refusals: counter(
      registry,
      'sluice_origin_refusals_total',
      'Requests that were refused or failed, by S3 error code',
      'code',
      S3_ERROR_CODES,
    ),
    published: counter(registry, 'sluice_origin_events_published_total', 'Events that the stream has acknowledged'),
    dropped: counter(registry, 'sluice_origin_events_dropped_total', 'Events that found the outbox full; the edges catch up without them'),
    publishFailures: counter(registry, 'sluice_origin_publish_failures_total', 'Attempts to publish an event that failed and are repeated'),
    requests: counter(registry, 'sluice_origin_content_requests_total', 'Messages that others put on the content stream', 'outcome', [
      'announced',
      'repeated', // delivered again after it was answered
      'rejected',
      'deferred', // could not be dealt with now, is delivered again
    ]),
    fetches: counter(registry, 'sluice_origin_fetches_total', 'origin.fetch requests by operation and outcome', 'outcome', [
      'resolve_found',
      'resolve_missing',
      'read_ok',
      'read_missing',
      'read_busy',
      'read_failed',
      'blocks_ok',
      'blocks_pending', // they are being made
      'blocks_missing', // this blob has none, or is not here
    ]),
    fetchBytes: counter(registry, 'sluice_origin_fetch_bytes_total', 'Content bytes sent on origin.fetch'),
    sourceLeftOut: counter(
      registry,
      'sluice_origin_source_left_out_total',
      'What a source has and content cannot have, each time it is found',
      'what',
      [
        'object', // its key is no content key, or what the source says of it is not complete
        'field', // of an object that is taken
      ],
    ),
    sourceNotifications: counter(
      registry,
      'sluice_origin_source_notifications_total',
      'Messages that tell of changes at a source, by outcome',
      'outcome',
      [
        'taken',
        'ignored', // a test, or only of other buckets or keys
        'invalid',
      ],
    ),
    changesPages: counter(registry, 'sluice_origin_changes_pages_total', 'Pages of the change feed by kind', 'kind', [
      'continued',
      'reset',
    ]),
    patches: counter(registry, 'sluice_origin_patches_total', 'Patches made by outcome', 'outcome', [
      'worthwhile',
      'not_worthwhile',
      'failed',
      'skipped',
    ]),
    variants: counter(registry, 'sluice_origin_variants_total', 'Variants with a content coding by outcome', 'outcome', [
      'made',
      'not_worthwhile',
      'failed', // all of one content; tried again
    ]),
    variantBytes: counter(registry, 'sluice_origin_variant_bytes_total', 'Bytes of the variants made, by coding', 'coding', [
      'br',
      'zstd',
      'gzip',
    ]),
    blockDigests: counter(
      registry,
      'sluice_origin_block_digests_total',
      'Large blobs whose blocks were to be digested, by outcome',
      'outcome',
      [
        'made',
        'failed',
        'skipped', // too many waited: when they are asked for
      ],
    ),
    sourceLooks: counter(registry, 'sluice_origin_source_looks_total', 'Objects looked at at the source, by outcome', 'outcome', [
      'announced', // new, or changed
      'unchanged',
      'removed',
      'missing', // neither the source nor the catalog has it
      'away', // the source cannot be read
      'failed',
    ]),
    sourceListings: counter(registry, 'sluice_origin_source_listings_total', 'Comparisons with all of the source, by outcome', 'outcome', [
      'completed',
      'failed',
    ]),
    sourceReads: counter(registry, 'sluice_origin_source_reads_total', 'Reads of content at a source by outcome', 'outcome', [
      'filled', // all of it is in the cache
      'straight', // begun beside the cache, which has no room for it
      'changed', // it has other bytes than the catalog says
      'failed', // the source is away, or the disk is full
    ]),
    sourceBytes: counter(registry, 'sluice_origin_source_bytes_total', 'Bytes that came from a source'),
    cacheEvictions: counter(
      registry,
      'sluice_origin_cache_evictions_total',
      'Blobs let go by the cache of a source to stay within its bound',
    ),
    cacheEvictedBytes: counter(registry, 'sluice_origin_cache_evicted_bytes_total', 'Bytes of those blobs'),
    scrubbedBytes: counter(registry, 'sluice_origin_scrubbed_bytes_total', 'Bytes of blobs read again to compare them with their names'),
    scrubMismatches: counter(
      registry,
      'sluice_origin_scrub_mismatches_total',
      'Blobs that the disk gave back damaged or not at all, by what became of them',
      'outcome',
      [
        'repaired', // right again
        'dropped', // made or read again when it is asked for, or not needed any more
        'unrepairable', // nobody gets it until it is uploaded again
      ],
    ),
    garbageBlobs: counter(registry, 'sluice_origin_garbage_blobs_total', 'Blobs removed because nothing names them'),
    garbageBytes: counter(registry, 'sluice_origin_garbage_bytes_total', 'Bytes of those blobs'),
  };
}
