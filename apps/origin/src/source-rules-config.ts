/** The source rules file: YAML → {@link SourceRules}, or every problem in it. */
import { fieldValue, LIST_MAX_ITEMS, metaName, region, tag } from '@sluice/contracts';
import { ConfigError, placeOf } from '@sluice/runtime';
import picomatch from 'picomatch';
import { z } from 'zod';
import { readYaml } from './config-yaml.ts';
import { IGNORED_BY_DEFAULT, KEPT_BY_DEFAULT, type SourceRule, type SourceRules } from './domain/source-rules.ts';
import { isRedirectLocation, REDIRECT_LOCATION_RULE, type UploadFields } from './domain/upload-headers.ts';

/** The source rules file cannot be used. */
export class SourceRulesConfigError extends ConfigError {
  constructor(problems: readonly string[]) {
    super(problems, 'the source rules file');
    this.name = 'SourceRulesConfigError';
  }
}

/** Each is tried on each file, again at each look: a million files and ten patterns are some seconds of work. */
export const RULES_MAX = 1_000;
const PATTERN_MAX_CHARACTERS = 1_024;

const pattern = z
  .string()
  .min(1, 'must not be empty')
  .max(PATTERN_MAX_CHARACTERS, `must be at most ${PATTERN_MAX_CHARACTERS} characters`)
  .superRefine((glob, context) => {
    const problem = patternProblem(glob);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  });

const names = (item: z.ZodType<string, string>) =>
  z
    .array(item)
    .max(LIST_MAX_ITEMS, `must name at most ${LIST_MAX_ITEMS}`)
    .transform((all) => [...new Set(all)]);

/** A record drops the name `__proto__` without a word. */
const metadata = z
  .custom<Record<string, string>>((meta) => !Object.hasOwn(Object(meta), '__proto__'), 'must not have an entry named __proto__')
  .pipe(z.record(metaName, fieldValue))
  .refine((meta) => Object.keys(meta).length <= LIST_MAX_ITEMS, `must have at most ${LIST_MAX_ITEMS} entries`);

const rule = z
  .strictObject({
    path: z.union([
      pattern,
      z.array(pattern).min(1, 'must have at least one pattern').max(LIST_MAX_ITEMS, `must have at most ${LIST_MAX_ITEMS} patterns`),
    ]),
    ignore: z.boolean('must be true or false').optional(),
    contentType: fieldValue.optional(),
    cacheControl: fieldValue.optional(),
    cdnCacheControl: fieldValue.optional(),
    contentEncoding: fieldValue.optional(),
    contentLanguage: fieldValue.optional(),
    contentDisposition: fieldValue.optional(),
    expires: fieldValue.optional(),
    redirectLocation: fieldValue.refine((value) => value === '' || isRedirectLocation(value), REDIRECT_LOCATION_RULE).optional(),
    regions: names(region).optional(),
    tags: names(tag).optional(),
    meta: metadata.optional(),
  })
  .refine((said) => Object.keys(said).length > 1, 'says nothing about what it matches; give it a field, or `ignore: true`');

const rulesFile = z.strictObject({
  rules: z.array(rule).max(RULES_MAX, `must have at most ${RULES_MAX} rules`).default([]),
});

/** What holds without a file. */
export const DEFAULT_SOURCE_RULES: SourceRules = [
  { matches: matcher(IGNORED_BY_DEFAULT), fields: {}, ignore: true },
  { matches: matcher(KEPT_BY_DEFAULT), fields: {}, ignore: false },
];

/** The rules of the file, after those that hold without one. @throws {SourceRulesConfigError} with every problem at once */
export function parseSourceRules(text: string): SourceRules {
  const result = rulesFile.safeParse(readYaml(text, (problems) => new SourceRulesConfigError(problems)));
  if (!result.success) throw new SourceRulesConfigError(result.error.issues.flatMap(describe));
  const own = result.data.rules.map(
    ({ path, ignore, ...fields }): SourceRule => ({
      matches: matcher(typeof path === 'string' ? [path] : path),
      fields: fields as Partial<UploadFields>,
      ignore,
    }),
  );
  return [...DEFAULT_SOURCE_RULES, ...own];
}

function matcher(globs: readonly string[]): (path: string) => boolean {
  // A rule names what it is about; what it is not about is another rule's, so "!" is a character like others.
  const matches = picomatch([...globs], { dot: true, nonegate: true, strictBrackets: true });
  return (path) => matches(path);
}

function patternProblem(glob: string): string | undefined {
  if (glob.startsWith('/') || glob.startsWith('./')) return 'must be relative to the directory: leave out what comes before the first name';
  if (glob.startsWith('!') && !glob.startsWith('!(')) return 'cannot be a negation; add a later rule that says otherwise';
  if (glob.endsWith('/')) return 'must not end with "/"; a directory and all in it is `name/**`';
  try {
    matcher([glob]);
    return undefined;
  } catch (error) {
    return `is no pattern: ${(error as Error).message}`;
  }
}

function describe(issue: z.core.$ZodIssue): string[] {
  return innermost(issue).map(({ code, path, message, ...more }) => {
    const detail =
      code === 'unrecognized_keys'
        ? `has settings that do not exist: ${(more as { keys: string[] }).keys.join(', ')}`
        : code === 'invalid_key'
          ? ((more as { issues: { message: string }[] }).issues[0]?.message ?? message)
          : message;
    return `${placeOf(path) || 'the file'}: ${detail}`;
  });
}

/** A union only says that nothing fits; what is wrong is said by the branch of what was written. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const meant = issue.errors.find((branch) => branch.every(({ code, path }) => code !== 'invalid_type' || path.length > 0));
  if (meant === undefined) return [{ ...issue, message: 'must be a pattern or a list of patterns' }];
  return meant.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
}
