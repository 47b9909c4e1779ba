import { type KeyObject, verify } from 'node:crypto';
import type { PublicKeys } from './keys.ts';

/**
 * Why a signature is not taken.
 * - `unsigned`: there is none, or what is there has not the form of one.
 * - `unknown_key`: it names a key that is not among those given.
 * - `wrong`: that key did not sign this.
 */
export type SignatureRefusal = 'unsigned' | 'unknown_key' | 'wrong';
export interface Refusal {
  readonly reason: SignatureRefusal;
  /** Of the key that is named, where one is. */
  readonly keyId?: string;
}

/** RFC 8032 §5.1.6. */
const SIGNATURE_BYTES = 64;
/** 64 bytes in base64, in its only form. */
const SIGNATURE_TEXT = /^[A-Za-z0-9+/]{85}[AQgw]==$/;

/** Undefined when `value` is the signature of exactly these bytes by the key of that name. Never throws for what came. */
export function judge(keys: PublicKeys, keyId: string, value: string, bytes: Uint8Array): Refusal | undefined {
  const key: KeyObject | undefined = keys.get(keyId);
  if (key === undefined) return { reason: 'unknown_key', keyId };
  if (!SIGNATURE_TEXT.test(value)) return { reason: 'unsigned', keyId };
  const signature = Buffer.from(value, 'base64');
  if (signature.byteLength === SIGNATURE_BYTES && verify(null, bytes, key, signature)) return undefined;
  return { reason: 'wrong', keyId };
}
