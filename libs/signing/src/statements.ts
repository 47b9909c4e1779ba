/**
 * What the origin says of its content, for those who hear it from somebody else. A statement is signed in one canonical form, JCS (RFC 8785), behind a line that names its kind: so its fields may
 * be written in any order on the way, and what says one thing cannot be taken for another.
 */
import { sign } from 'node:crypto';
import type { InvalidationMode, Manifest, Selector, Signature } from '@sluice/contracts';
import canonicalize from 'canonicalize';
import type { PublicKeys, SigningKey } from './keys.ts';
import { judge, type Refusal } from './verdict.ts';

export type Statement =
  /** This is a version of a key: with these bytes and fields, in these regions. */
  | { readonly kind: 'manifest'; readonly manifest: Manifest }
  /** The key is gone since this version. */
  | { readonly kind: 'removal'; readonly key: string; readonly version: number }
  /** What the selector covers is stale up to this version. */
  | { readonly kind: 'invalidation'; readonly selector: Selector; readonly version: number; readonly mode: InvalidationMode };

/** The bytes that are signed. The number counts forms: a statement of another form is another statement. */
export function canonicalStatement({ kind, ...fields }: Statement): Uint8Array {
  const said = 'manifest' in fields ? fields.manifest : fields;
  return Buffer.from(`sluice-${kind}-1\n${canonicalize(said)}`, 'utf8');
}

export function signStatement({ keyId, privateKey }: SigningKey, statement: Statement): Signature {
  return { keyId, value: sign(null, canonicalStatement(statement), privateKey).toString('base64') };
}

/** Undefined when one of the keys has signed this statement. Never throws for what came. */
export function verifyStatement(keys: PublicKeys, statement: Statement, signature: Signature | undefined): Refusal | undefined {
  if (signature === undefined) return { reason: 'unsigned' };
  return judge(keys, signature.keyId, signature.value, canonicalStatement(statement));
}
