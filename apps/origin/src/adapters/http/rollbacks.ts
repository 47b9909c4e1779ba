import { contentKey, keyPrefix, version } from '@sluice/contracts';
import { z } from 'zod';
import type { Announced } from '../../domain/catalog-change.ts';
import { needsOfRollback } from '../../domain/rights.ts';
import { S3Error } from '../../domain/s3-error.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Authorize } from './authenticate.ts';
import type { Exchange } from './exchange.ts';
import { readSmallBody } from './request-body.ts';

const BODY_MAX_BYTES = 64 * 1024;
/** Keys that one request rolls back; the next one goes on after the last of them. */
const PAGE_KEYS = 1_000;

/** `to`: the version that things are to be as they were at; absent: one upload back. `after`: goes on after this key. */
const rollback = z.union([
  z.strictObject({ key: contentKey, to: version.optional() }),
  z.strictObject({ prefix: keyPrefix, to: version.optional(), after: contentKey.optional() }),
]);

/**
 * Answers `POST /-/rollbacks`: `{rolledBack: [{key, id, version}], unchanged, notKept, next}`, where `unchanged` keys are as they were then, of `notKept` no such version is kept, and `next` is the
 * `after` of the next page of a prefix. @throws {S3Error} `NoSuchVersion` when a single key has no such version
 */
export async function postRollback(exchange: Exchange, catalog: Catalog, authorize: Authorize): Promise<void> {
  const asked = parse(await readSmallBody(exchange, BODY_MAX_BYTES));
  authorize(needsOfRollback('key' in asked ? asked.key : asked.prefix));
  const keys = 'key' in asked ? [asked.key] : catalog.versions.keys(asked.prefix, asked.after, PAGE_KEYS);
  const results = await Promise.all(
    keys.map(async (key) => ({ key, result: await catalog.versions.rollBack(key, asked.to, 'prefix' in asked) })),
  );
  const rolledBack = results.flatMap(({ key, result }) =>
    isAnnounced(result) ? [{ key, id: result.eventId, version: result.version }] : [],
  );
  const unchanged = results.filter(({ result }) => result === 'current').length;
  const notKept = results.filter(({ result }) => result === undefined).length;
  if ('key' in asked && notKept > 0) {
    throw new S3Error(
      'NoSuchVersion',
      'no such version of this object is kept; ListObjectVersions tells which are, and ORIGIN_VERSIONS_KEPT how many',
    );
  }
  const next = keys.length === PAGE_KEYS ? keys.at(-1) : undefined;
  exchange.answerJson(200, { rolledBack, unchanged, notKept, next });
}

function parse(body: Uint8Array): z.output<typeof rollback> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    throw new S3Error(
      'InvalidArgument',
      'the body must be JSON, such as {"key":"site/app.js"} or {"prefix":"site/","to":1790000000000000}',
      error,
    );
  }
  const result = rollback.safeParse(value);
  if (result.success) return result.data;
  throw new S3Error('InvalidArgument', `name a "key" or a "prefix", and perhaps "to", a version: ${z.prettifyError(result.error)}`);
}

function isAnnounced(result: Announced | 'current' | undefined): result is Announced {
  return typeof result === 'object';
}
