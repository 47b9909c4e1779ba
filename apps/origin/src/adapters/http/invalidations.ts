import { CONTENT_INVALIDATED, decode, MESSAGE_MAX_BYTES, selectorOf } from '@sluice/contracts';
import { needsOfInvalidation } from '../../domain/rights.ts';
import { S3Error } from '../../domain/s3-error.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import { announcementHeaders } from './announcement-headers.ts';
import type { Authorize } from './authenticate.ts';
import type { Exchange } from './exchange.ts';
import { readSmallBody } from './request-body.ts';

/** The selector's longest value is a key of 1,024 bytes, escaped. */
export const BODY_MAX_BYTES = Math.min(64 * 1024, MESSAGE_MAX_BYTES);

/** Answers `POST /-/invalidations`: the body is that of `content.invalidated` by hand. @throws {S3Error | InvalidMessageError} */
export async function postInvalidation(exchange: Exchange, catalog: Catalog, metrics: OriginMetrics, authorize: Authorize): Promise<void> {
  const event = decode(CONTENT_INVALIDATED.subject, CONTENT_INVALIDATED.message, await readSmallBody(exchange, BODY_MAX_BYTES));
  const selector = selectorOf(event);
  authorize(needsOfInvalidation(selector));
  const announced = await catalog.invalidate(selector, event.mode);
  if (announced === undefined)
    throw new S3Error('NoSuchKey', 'there is no object of this key; a prefix may cover keys that do not exist yet');
  metrics.invalidations.inc();
  exchange.answerJson(202, { id: announced.eventId, version: announced.version }, announcementHeaders(announced));
}
