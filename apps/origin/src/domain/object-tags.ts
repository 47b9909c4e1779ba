/**
 * S3's object tags, which are pairs, as the names that an invalidation knows (`manifest.tags`): the pair `v41` = `` is the name `v41`, the pair
 * `env` = `prod` is the name `env=prod`. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
 */
import { LIST_MAX_ITEMS, tag } from '@sluice/contracts';
import { S3Error } from './s3-error.ts';

export interface TagPair {
  readonly key: string;
  readonly value: string;
}

/** The pair of a name: it is split at its first "=" that has something on both sides. */
export function pairOf(name: string): TagPair {
  const at = name.indexOf('=', 1);
  return at === -1 || at === name.length - 1 ? { key: name, value: '' } : { key: name.slice(0, at), value: name.slice(at + 1) };
}

/** The names of pairs. @throws {S3Error} `InvalidTag` for what is no name, would come back as another pair, is there twice or is too much */
export function tagsOf(pairs: readonly TagPair[]): string[] {
  if (pairs.length > LIST_MAX_ITEMS) throw new S3Error('InvalidTag', `an object can have at most ${LIST_MAX_ITEMS} tags`);
  if (new Set(pairs.map(({ key }) => key)).size < pairs.length) throw new S3Error('InvalidTag', 'each key of a tag may be there once only');
  return pairs.map(tagOf);
}

function tagOf({ key, value }: TagPair): string {
  const name = value === '' ? key : `${key}=${value}`;
  const checked = tag.safeParse(name);
  if (!checked.success) throw new S3Error('InvalidTag', `the tag "${name}" ${checked.error.issues[0]?.message}`);
  const back = pairOf(name);
  if (back.key !== key || back.value !== value) throw new S3Error('InvalidTag', `the key of the tag "${name}" must not have "=" in it`);
  return name;
}

/** `x-amz-tagging`: pairs in the coding of a query. @throws {S3Error} `InvalidTag` */
export function tagsOfHeader(value: string): string[] {
  return tagsOf([...new URLSearchParams(value)].map(([key, text]) => ({ key, value: text })));
}
