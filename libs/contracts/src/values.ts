/**
 * The small values every message is made of. Each schema refuses with a sentence that tells the sender what to do.
 */
import { z } from 'zod';

/** Longest content key, in UTF-8 bytes: the same limit as Amazon S3's object keys. */
export const KEY_MAX_BYTES = 1024;
/** Longest JSON message that a receiver will parse, in bytes: the default `max_payload` of a NATS server. */
export const MESSAGE_MAX_BYTES = 1024 * 1024;
/** Most regions, tags or metadata entries that one manifest may name. */
export const LIST_MAX_ITEMS = 64;

const encoder = new TextEncoder();
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are exactly what is looked for
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f]/;

/**
 * Why `key` cannot be a content key, or `undefined` when it can. A key is `<bucket>/<path>`: the bucket is 1 to 63
 * characters of `[a-z0-9.-]` beginning and ending with a letter or digit (S3's bucket names, one character allowed), the path is
 * not empty and has no `.` or `..` segment, no control character and no lone surrogate.
 */
export function keyProblem(key: string): string | undefined {
  const problem = prefixProblem(key);
  if (problem !== undefined) return problem;
  const slash = key.indexOf('/');
  if (slash < 1 || slash === key.length - 1) return 'must have the form <bucket>/<path>';
  if (!isBucketName(key.slice(0, slash))) {
    return 'must begin with a bucket name: 1 to 63 characters of a-z, 0-9, "." and "-", beginning and ending with a letter or digit';
  }
  if (key.split('/').some((segment) => segment === '.' || segment === '..')) return 'has a "." or ".." segment';
  return undefined;
}

/** Why no content key can begin with `prefix`, as far as its characters and its length tell, or `undefined`. */
export function prefixProblem(prefix: string): string | undefined {
  // A character is at least one byte, so what is hopelessly long need not be encoded to know it.
  if (prefix.length > KEY_MAX_BYTES || encoder.encode(prefix).byteLength > KEY_MAX_BYTES) return `is longer than ${KEY_MAX_BYTES} bytes`;
  if (CONTROL_CHARACTERS.test(prefix)) return 'contains a control character';
  if (!prefix.isWellFormed()) return 'is not well-formed Unicode';
  return undefined;
}

/** Whether `name` can be the first segment of a content key. */
export function isBucketName(name: string): boolean {
  return /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/.test(name) && !name.includes('..');
}

/** `<bucket>/<path>`, see {@link keyProblem}. Never used as a subject token. */
export const contentKey = z.string().superRefine((key, context) => {
  const problem = keyProblem(key);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: `the key ${problem}` });
});

/** Lower-case hexadecimal SHA-256 of the content bytes: 64 characters. */
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hexadecimal (64 characters)');

/**
 * Content up to this many bytes may travel inside the message that speaks of it, which spares each edge a request of its own. Measured with ten
 * edges: 10 kB objects spread 1.7 times as fast.
 */
export const INLINE_CONTENT_MAX_BYTES = 16 * 1024;

/** Content bytes inside a message, in base64. Whoever takes them verifies their checksum, like that of any other bytes. */
export const inlineContent = z
  .string()
  .max(Math.ceil(INLINE_CONTENT_MAX_BYTES / 3) * 4, `must be base64 of at most ${INLINE_CONTENT_MAX_BYTES} bytes`);

/** A count of bytes. */
export const byteCount = z.int('must be a whole number of bytes').nonnegative('must not be negative');

/** Position in the one order of all uploads, removals and invalidations: microseconds-like, minted by the origin. */
export const version = z.int('must be a safe integer').positive('must be positive');

/** Like {@link version}, with 0 for "nothing yet". */
export const versionOrZero = z.int('must be a safe integer').nonnegative('must not be negative');

/** One NATS token that names an edge. */
export const edgeId = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-" (it becomes part of a NATS subject)');

/** A region's name, upper case. Lower-case input is folded, so `us` and `US` are one region. */
export const region = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,32}$/, 'must be 1 to 32 characters of A-Z, 0-9, "_" and "-"')
  .transform((name) => name.toUpperCase());

/** A name under which objects can be invalidated together. */
export const tag = z
  .string()
  .regex(/^[^\s,\p{Cc}\p{Cs}]{1,256}$/u, 'must be 1 to 256 characters without white space, "," or control characters');

/** Names one event for its whole life: origin, controller, outcome, status API. */
export const eventId = z.string().regex(/^[A-Za-z0-9._:-]{1,128}$/, 'must be 1 to 128 characters of A-Z, a-z, 0-9, ".", "_", ":" and "-"');

/** An instant: RFC 3339 in UTC with milliseconds, as `Date.prototype.toISOString` writes it. */
export const instant = z.iso.datetime('must be an RFC 3339 date-time in UTC');

/** A header field value that can be sent as it is (RFC 9110 §5.5: visible characters, spaces and tabs). */
export const fieldValue = z
  .string()
  .regex(/^[\t\x20-\x7e\x80-\xff]{0,1024}$/, 'must be at most 1024 characters that may stand in an HTTP field');

/** The name of a content coding (RFC 9110 §8.4.1) in lower case: `br`, `zstd`, `gzip`. */
export const contentCoding = z.string().regex(/^[a-z0-9-]{1,16}$/, 'must be the name of a content coding in lower case');

/** A lower-case HTTP token for the part after `x-amz-meta-`. */
export const metaName = z.string().regex(/^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/, 'must be a lower-case HTTP token of at most 128 characters');
