import type { Bus, RequestOptions } from '@sluice/bus';
import { decodeBlockDigests, INLINE_CONTENT_MAX_BYTES, ORIGIN_CHANGES, ORIGIN_FETCH, SluiceError } from '@sluice/contracts';
import pRetry, { type Options } from 'p-retry';
import type { OriginPort } from '../services/origin-port.ts';
import type { DirectDownload } from './direct-download.ts';

/** A resolve may wait for a patch to be made, and a visitor may wait for a resolve. */
const RESOLVE_TIMEOUT_MS = 2_000;
const READ_TIMEOUT_MS = 10_000;
const BLOCKS_TIMEOUT_MS = 2_000;
const CHANGES_TIMEOUT_MS = 10_000;
/** Without an answer for so long, the same is asked again meanwhile: one of several origins may hang. A range may come from far away. */
const RESOLVE_AGAIN_MS = 200;
const READ_AGAIN_MS = 2_000;
const CHANGES_AGAIN_MS = 1_000;

/** Retries for short blips; whoever calls owns the long waits. Nobody listening is no blip, and silence is taken twice at most. */
const RETRY: Options = {
  retries: 3,
  minTimeout: 50,
  factor: 3,
  randomize: true,
  shouldRetry: ({ error, attemptNumber }) => {
    if (!(error instanceof SluiceError) || !error.retryable) return false;
    if (error.code === 'NO_LISTENER' || error.code === 'BROKER_AWAY') return false;
    return error.code !== 'NO_REPLY' || attemptNumber < 2;
  },
};

/** What this edge itself says when it cannot ask: from outside it would keep visitors from what is held. */
const OWN_CODE = 'EDGE_BUSY';

/**
 * The origin over NATS, with the short cut for large blobs that it names in its feed. `verify`: whether a reply is the origin's. Only bytes of blobs go without, whoever takes them verifies them by
 * their checksum.
 */
export function natsOrigin(bus: Bus, region: string, direct: DirectDownload, verify?: RequestOptions['verify']): OriginPort {
  return {
    resolve(key, have, withContent = false, atLeast = 0) {
      const inlineMaxBytes = withContent ? INLINE_CONTENT_MAX_BYTES : 0;
      const request = { op: 'resolve' as const, key, have: [...have], inlineMaxBytes, atLeast };
      return pRetry(
        () => bus.request(ORIGIN_FETCH, request, { timeoutMs: RESOLVE_TIMEOUT_MS, againAfterMs: RESOLVE_AGAIN_MS, verify }),
        RETRY,
      );
    },
    read(sha256, offset, length) {
      const request = { op: 'read', sha256, offset, length } as const;
      return pRetry(
        () => bus.requestBytes(ORIGIN_FETCH, request, { timeoutMs: READ_TIMEOUT_MS, againAfterMs: READ_AGAIN_MS }),
        RETRY,
      ).catch((error: unknown) => {
        if (!(error instanceof SluiceError) || error.code !== OWN_CODE) throw error;
        throw new SluiceError('ORIGIN_BUSY', error.message, { retryable: true });
      });
    },
    async blocks(sha256, sizeBytes) {
      const reply = await pRetry(
        () => bus.requestBytes(ORIGIN_FETCH, { op: 'blocks', sha256 }, { timeoutMs: BLOCKS_TIMEOUT_MS, verify }),
        RETRY,
      );
      return decodeBlockDigests(reply, sizeBytes);
    },
    download: (sha256, sizeBytes, file) => bus.operate('HTTP_DOWNLOAD:blob', () => direct.download(sha256, sizeBytes, file)),
    async changes(since, catalogId, listing) {
      const request = { region, since, catalogId, listing };
      const page = await pRetry(
        () => bus.request(ORIGIN_CHANGES, request, { timeoutMs: CHANGES_TIMEOUT_MS, againAfterMs: CHANGES_AGAIN_MS, verify }),
        RETRY,
      );
      direct.learn(page.blobsUrl);
      return page;
    },
    get chunkBytes() {
      return bus.chunkBytes;
    },
  };
}
