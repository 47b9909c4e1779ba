/** Keys of an origin, as files have them: PEM, the private one in PKCS #8 (RFC 5958), public ones as SubjectPublicKeyInfo (RFC 8410). */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

/** Most public keys at the same time: one that signs, one that comes and one that goes, and one for each of some origins. */
export const PUBLIC_KEYS_MAX = 32;
const KEY_ID_CHARACTERS = 16;
const PUBLIC_KEY_BLOCK = /-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]*-----END PUBLIC KEY-----/g;

export interface SigningKey {
  readonly keyId: string;
  readonly privateKey: KeyObject;
}
/** By their ids. */
export type PublicKeys = ReadonlyMap<string, KeyObject>;

/** A new pair, as it is written into files. */
export interface GeneratedKey {
  readonly keyId: string;
  readonly privatePem: string;
  readonly publicPem: string;
}

/** What a key is called: the first 16 hexadecimal digits of the SHA-256 of its public half in DER, so the two halves have the same name wherever they are. */
export function keyIdOf(key: KeyObject): string {
  const publicKey = key.type === 'public' ? key : createPublicKey(key);
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, KEY_ID_CHARACTERS);
}

export function generateSigningKey(): GeneratedKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    keyId: keyIdOf(publicKey),
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }) as string,
  };
}

/** @throws {Error} with a sentence that says what is wanted, and nothing of what was there */
export function parseSigningKey(pem: string): SigningKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch {
    throw new Error('holds no private key in PEM (PKCS #8, without a pass phrase); make one with: openssl genpkey -algorithm ed25519');
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new Error(`holds a key of the kind ${privateKey.asymmetricKeyType}; make one with: openssl genpkey -algorithm ed25519`);
  }
  return { keyId: keyIdOf(privateKey), privateKey };
}

/** One key or several, one behind the other. @throws {Error} with a sentence that says what is wanted */
export function parsePublicKeys(pem: string): PublicKeys {
  // A private key gives a public one too, and would then lie on every edge.
  if (/PRIVATE KEY/.test(pem))
    throw new Error('holds a private key, which only the origin may have; write the public one with: openssl pkey -pubout');
  const blocks = pem.match(PUBLIC_KEY_BLOCK) ?? [];
  if (blocks.length === 0) throw new Error('holds no public key in PEM ("BEGIN PUBLIC KEY"); write it with: openssl pkey -pubout');
  if (blocks.length > PUBLIC_KEYS_MAX) throw new Error(`holds ${blocks.length} public keys; at most ${PUBLIC_KEYS_MAX} are taken`);
  const keys = new Map<string, KeyObject>();
  for (const [index, block] of blocks.entries()) {
    const key = publicKeyOf(block);
    if (key?.asymmetricKeyType !== 'ed25519') throw new Error(`public key ${index + 1} is not one for Ed25519`);
    keys.set(keyIdOf(key), key);
  }
  return keys;
}

function publicKeyOf(block: string): KeyObject | undefined {
  try {
    return createPublicKey(block);
  } catch {
    return undefined;
  }
}
