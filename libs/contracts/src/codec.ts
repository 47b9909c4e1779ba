/** JSON in UTF-8, validated by the schema on both sides (DESIGN §2). */
import type { z } from 'zod';
import { InvalidMessageError } from './errors.ts';
import { MESSAGE_MAX_BYTES } from './values.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Most problems that one description lists, and most characters of one field's path: what came is hostile until proven otherwise. */
const DESCRIBED_MAX_ISSUES = 8;
const DESCRIBED_MAX_PATH = 128;

/** The problems of a ZodError in one line: `manifest.sha256: must be …; size: …`. At most about 2,000 characters, whatever came. */
export function describeIssues(error: z.core.$ZodError): string {
  const described = error.issues.slice(0, DESCRIBED_MAX_ISSUES).map((issue) => describeIssue(issue));
  const left = error.issues.length - described.length;
  return (left === 0 ? described : [...described, `and ${left} more`]).join('; ');
}

function describeIssue(issue: z.core.$ZodIssue, above: readonly PropertyKey[] = []): string {
  const below = issue.code === 'invalid_union' ? deepestOf(issue.errors.flat()) : undefined;
  if (below !== undefined) return describeIssue(below, [...above, ...issue.path]);
  const path = [...above, ...issue.path].map(String).join('.').slice(0, DESCRIBED_MAX_PATH).toWellFormed();
  // Of a record's name the reason is one level down.
  const message = issue.code === 'invalid_key' ? `the name ${issue.issues[0]?.message ?? 'is not allowed'}` : issue.message;
  return path === '' ? message : `${path}: ${message}`;
}

/** Of what is wrong with a value by each of the forms that it might have: the problem of the form that it comes nearest to. */
function deepestOf(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue | undefined {
  return issues.reduce<z.core.$ZodIssue | undefined>(
    (deepest, issue) => ((deepest?.path.length ?? -1) < issue.path.length ? issue : deepest),
    undefined,
  );
}

/**
 * Parses a received message. Unknown fields are dropped, so a newer sender is understood.
 * @throws {InvalidMessageError} naming every wrong field
 */
export function decode<Schema extends z.ZodType>(subject: string, schema: Schema, bytes: Uint8Array): z.output<Schema> {
  if (bytes.byteLength > MESSAGE_MAX_BYTES) {
    throw new InvalidMessageError(subject, `the message has ${bytes.byteLength} bytes, more than ${MESSAGE_MAX_BYTES}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    // It quotes what came, cut anywhere: also inside of a pair of surrogates.
    throw new InvalidMessageError(subject, `not JSON in UTF-8: ${(error as Error).message.toWellFormed()}`);
  }
  return check(subject, schema, value);
}

/**
 * Serialises a message after checking it, so that nothing malformed leaves.
 * @throws {InvalidMessageError} naming every wrong field
 */
export function encode<Schema extends z.ZodType>(subject: string, schema: Schema, value: z.input<Schema>): Uint8Array {
  const bytes = encoder.encode(JSON.stringify(check(subject, schema, value)));
  if (bytes.byteLength > MESSAGE_MAX_BYTES) {
    throw new InvalidMessageError(subject, `the message has ${bytes.byteLength} bytes, more than ${MESSAGE_MAX_BYTES}`);
  }
  return bytes;
}

function check<Schema extends z.ZodType>(subject: string, schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (!result.success) throw new InvalidMessageError(subject, describeIssues(result.error));
  return result.data;
}
