/** What a publisher says, in rules, about files that cannot say it themselves. */
import { contentTypeByName, type UploadFields } from './upload-headers.ts';

export interface SourceRule {
  /** Whether it is about this path: relative to the root, segments parted by "/", without one at either end. */
  readonly matches: (path: string) => boolean;
  readonly fields: Partial<UploadFields>;
  /** Whether what it matches is content; undefined: it says nothing about that. */
  readonly ignore: boolean | undefined;
}

/** In order: every rule that matches applies, and a later one wins over an earlier one field by field; a list or `meta` counts as one field. */
export type SourceRules = readonly SourceRule[];

/**
 * What is no content unless a rule says `ignore: false`: names with a dot in front (`.git`, `.env`, and what rsync and editors write into) but for
 * `.well-known`, and the names that browsers, WinSCP, editors and download tools give to what is not complete yet.
 */
export const IGNORED_BY_DEFAULT: readonly string[] = [
  '**/.*',
  '**/*~',
  '**/*.{part,partial,filepart,crdownload,download,tmp,temp}',
  'lost+found',
];
export const KEPT_BY_DEFAULT: readonly string[] = ['**/.well-known'];

/** The fields of the object `key`, whose path is `path`. An empty text takes back what an earlier rule said. */
export function fieldsFor(rules: SourceRules, path: string): UploadFields {
  const said: Partial<UploadFields> = {};
  for (const rule of rules) if (rule.matches(path)) Object.assign(said, rule.fields);
  const { contentType, meta = {}, regions = [], tags = [], ...texts } = said;
  return {
    contentType: contentType || contentTypeByName(`/${path}`),
    meta,
    regions,
    tags,
    ...Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== '')),
  };
}

/** Whether a file or directory is no content; everything in such a directory is none either. */
export function isIgnored(rules: SourceRules, path: string): boolean {
  let ignored = false;
  for (const { ignore, matches } of rules) if (ignore !== undefined && ignore !== ignored && matches(path)) ignored = ignore;
  return ignored;
}
