/** Every target of this process, in the order in which they run. */
import type { Target } from '../target.ts';
import { patches } from './delta.ts';
import { plainRequests, proxyHeaders, signedUrls, targets } from './edge.ts';
import { cacheControls, codings, conditions, dates, forwarded, ranges } from './fields.ts';
import { configFiles } from './files.ts';
import { blockDigests, contentRequests, messages, notifications } from './messages.ts';
import { chunkedBodies, s3Targets, signatures, uploadHeaders, xmlBodies } from './origin.ts';

export const TARGETS: readonly Target[] = [
  ...[messages, contentRequests, notifications, blockDigests],
  ...[plainRequests, targets, signedUrls, proxyHeaders],
  ...[ranges, conditions, codings, cacheControls, dates, forwarded],
  ...[s3Targets, signatures, uploadHeaders, chunkedBodies, xmlBodies],
  ...[patches, configFiles],
];
