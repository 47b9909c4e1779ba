/** The tags of an object: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html and its companions. */

import { uploadedVersion } from '@sluice/contracts';
import { z } from 'zod';
import { pairOf, tagsOf } from '../../domain/object-tags.ts';
import { S3Error } from '../../domain/s3-error.ts';
import { versionAsked } from '../../domain/version-id.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { announcementHeaders } from './announcement-headers.ts';
import type { Exchange, HeaderList } from './exchange.ts';
import { refuseMissing } from './missing.ts';
import type { S3Handler } from './s3-handler.ts';
import { readXmlBody } from './xml-body.ts';

/** 64 tags of 256 characters, each of which may be several bytes or an entity. */
const BODY_MAX_BYTES = 256 * 1024;
const schema = z.object({
  // An element without tags is empty, and the text between tags is one too.
  TagSet: z.union([
    z.object({ Tag: z.array(z.object({ Key: z.string(), Value: z.string() })).default([]) }),
    z
      .string()
      .regex(/^\s*$/, 'must have Tag elements')
      .transform(() => ({ Tag: [] })),
  ]),
});

export interface TaggingHandlers {
  readonly GetObjectTagging: S3Handler<'object'>;
  readonly PutObjectTagging: S3Handler<'object'>;
  readonly DeleteObjectTagging: S3Handler<'object'>;
}

export function taggingHandlers(catalog: Catalog): TaggingHandlers {
  const requireObject = (key: string, query: URLSearchParams) => {
    const asked = versionAsked(query.get('versionId'));
    const object = catalog.versions.find(key, asked);
    if (object === undefined) return refuseMissing(catalog, key, asked);
    return { object, asked };
  };
  const requireCurrent = (key: string, query: URLSearchParams): void => {
    const { asked } = requireObject(key, query);
    const current = catalog.find(key);
    if (asked !== undefined && (current === undefined || uploadedVersion(current.manifest) !== asked)) {
      throw new S3Error('NotImplemented', 'versionId: only the tags of the current version can be changed');
    }
  };
  const retag = async (key: string, tags: readonly string[]): Promise<HeaderList> =>
    announcementHeaders((await catalog.retag(key, tags)) ?? refuseMissing(catalog, key));
  return {
    GetObjectTagging(exchange, { resource, query }) {
      const pairs = requireObject(resource.key, query).object.manifest.tags.map(pairOf);
      exchange.answerXml('Tagging', { TagSet: { Tag: pairs.map(({ key, value }) => ({ Key: key, Value: value })) } });
    },
    async PutObjectTagging(exchange, { resource, query }) {
      requireCurrent(resource.key, query);
      const headers = await retag(resource.key, await readTags(exchange));
      exchange.answer({ status: 200, headers });
    },
    async DeleteObjectTagging(exchange, { resource, query }) {
      requireCurrent(resource.key, query);
      const headers = await retag(resource.key, []);
      exchange.answer({ status: 204, headers });
    },
  };
}

async function readTags(exchange: Exchange): Promise<string[]> {
  const { TagSet } = await readXmlBody(exchange, { root: 'Tagging', schema, lists: ['Tag'], maxBytes: BODY_MAX_BYTES });
  return tagsOf(TagSet.Tag.map(({ Key, Value }) => ({ key: Key, value: Value })));
}
