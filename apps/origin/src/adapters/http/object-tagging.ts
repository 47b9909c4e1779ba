/** The tags of an object: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html and its companions. */
import { z } from 'zod';
import { pairOf, tagsOf } from '../../domain/object-tags.ts';
import type { Announced, Catalog } from '../catalog/catalog.ts';
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
  const requireObject = (key: string) => catalog.find(key) ?? refuseMissing(catalog, key);
  const retag = async (key: string, tags: readonly string[]): Promise<HeaderList> =>
    announcement((await catalog.retag(key, tags)) ?? refuseMissing(catalog, key));
  return {
    GetObjectTagging(exchange, { resource }) {
      const pairs = requireObject(resource.key).manifest.tags.map(pairOf);
      exchange.answerXml('Tagging', { TagSet: { Tag: pairs.map(({ key, value }) => ({ Key: key, Value: value })) } });
    },
    async PutObjectTagging(exchange, { resource }) {
      requireObject(resource.key);
      const headers = await retag(resource.key, await readTags(exchange));
      exchange.answer({ status: 200, headers });
    },
    async DeleteObjectTagging(exchange, { resource }) {
      const headers = await retag(resource.key, []);
      exchange.answer({ status: 204, headers });
    },
  };
}

async function readTags(exchange: Exchange): Promise<string[]> {
  const { TagSet } = await readXmlBody(exchange, { root: 'Tagging', schema, lists: ['Tag'], maxBytes: BODY_MAX_BYTES });
  return tagsOf(TagSet.Tag.map(({ Key, Value }) => ({ key: Key, value: Value })));
}

function announcement({ eventId, version }: Announced): HeaderList {
  return [
    ['x-sluice-event-id', eventId],
    ['x-sluice-version', String(version)],
  ];
}
