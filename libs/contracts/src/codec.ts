/** JSON in UTF-8, validated by the schema on both sides (DESIGN §2). */
import type { z } from 'zod';
import { InvalidMessageError } from './errors.ts';
import { MESSAGE_MAX_BYTES } from './values.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Every problem of a ZodError in one line: `manifest.sha256: must be …; size: …`. */
export function describeIssues(error: z.core.$ZodError): string {
  return error.issues.map((issue) => describeIssue(issue)).join('; ');
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.map(String).join('.');
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // The branch that came closest explains best: the one with the fewest problems.
    const closest = issue.errors.reduce((best, branch) => (branch.length < best.length ? branch : best));
    if (closest.length > 0) return closest.map((inner) => describeIssue({ ...inner, path: [...issue.path, ...inner.path] })).join('; ');
  }
  return path === '' ? issue.message : `${path}: ${issue.message}`;
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
    throw new InvalidMessageError(subject, `not JSON in UTF-8: ${(error as Error).message}`);
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
