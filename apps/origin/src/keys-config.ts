/** The keys file: YAML → {@link AccessKeys}, or every problem in it. No problem quotes what could be a secret. */
import { isBucketName } from '@sluice/contracts';
import { ConfigError, placeOf } from '@sluice/runtime';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { type AccessKeys, EVERY_BUCKET, RIGHTS } from './domain/access-key.ts';

/** The keys file cannot be used. */
export class KeysConfigError extends ConfigError {
  constructor(problems: readonly string[]) {
    super(problems, 'the keys file');
    this.name = 'KeysConfigError';
  }
}

export const KEYS_MAX = 1000;

const accessKeyId = z.string().regex(/^[A-Za-z0-9_-]{3,128}$/, 'must be 3 to 128 characters of A-Z, a-z, 0-9, "_" and "-"');
const secretAccessKey = z
  .string('must be a text; put it in quotes')
  .regex(/^[\x21-\x7e]{32,128}$/, 'must be 32 to 128 characters without spaces, as `openssl rand -base64 30` makes them');
const bucket = z
  .string()
  .refine((name) => name === EVERY_BUCKET || isBucketName(name), `must be the name of a bucket, or "${EVERY_BUCKET}" for all of them`);
const rights = z.array(z.enum(RIGHTS, `must be one of ${RIGHTS.join(', ')}`)).min(1, 'must name at least one right');

const key = z.strictObject({
  accessKeyId,
  secretAccessKey,
  rights: z
    .record(bucket, rights)
    .refine((byBucket) => Object.keys(byBucket).length > 0, 'must name at least one bucket')
    .transform((byBucket) => new Map(Object.entries(byBucket).map(([name, granted]) => [name, new Set(granted)] as const))),
});

const keysFile = z.strictObject({
  keys: z
    .array(key)
    .min(1, 'must have at least one key')
    .max(KEYS_MAX, `must have at most ${KEYS_MAX} keys`)
    .superRefine((keys, context) => {
      keys.forEach(({ accessKeyId: id }, at) => {
        if (keys.findIndex((other) => other.accessKeyId === id) === at) return;
        context.addIssue({ code: 'custom', path: [at, 'accessKeyId'], message: `"${id}" is there twice` });
      });
    }),
});

/** @throws {KeysConfigError} with every problem at once */
export function parseKeys(text: string): AccessKeys {
  const result = keysFile.safeParse(readYaml(text));
  if (!result.success) throw new KeysConfigError(result.error.issues.map(describe));
  return new Map(result.data.keys.map((one) => [one.accessKeyId, one]));
}

function readYaml(text: string): unknown {
  // Its warnings go to stderr, and quote what stands there.
  const document = parseDocument(text, { logLevel: 'error' });
  if (document.errors.length > 0) {
    throw new KeysConfigError(document.errors.map(({ code, linePos }) => `line ${linePos?.[0].line ?? '?'}: is no YAML (${code})`));
  }
  try {
    return document.toJS({ maxAliasCount: 0 }) ?? {};
  } catch {
    throw new KeysConfigError(['must have no aliases; put a secret that begins with "*" in quotes']);
  }
}

function describe(issue: z.core.$ZodIssue): string {
  const message =
    issue.code === 'unrecognized_keys'
      ? 'has settings that do not exist'
      : issue.code === 'invalid_key'
        ? issue.issues[0]?.message
        : issue.message;
  return `${placeOf(issue.path) || 'the file'}: ${message}`;
}
