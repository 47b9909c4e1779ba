/**
 * What the origin answers to one request. Its signature covers the request as well as the reply, and with the request a value that was never used before: an answer that was given to somebody else,
 * or to the same question at another time, is none.
 */
import { hash, sign } from 'node:crypto';
import type { Exchange } from '@sluice/contracts';
import type { PublicKeys, SigningKey } from './keys.ts';
import { judge, type Refusal } from './verdict.ts';

/** Digests in the place of the messages: a page of the feed has up to a megabyte, and Ed25519 goes over what it signs twice. */
function signedBytes({ subject, nonce, request, reply, kind }: Exchange): Uint8Array {
  const lines = ['sluice-reply-1', kind, subject, nonce, hash('sha256', request, 'hex'), hash('sha256', reply, 'hex')];
  return Buffer.from(lines.join('\n'), 'utf8');
}

/** The value of the header that a signed reply has. */
export function signReply({ keyId, privateKey }: SigningKey, exchange: Exchange): string {
  return `${keyId} ${sign(null, signedBytes(exchange), privateKey).toString('base64')}`;
}

/** Undefined when one of the keys has signed this reply to this request. Never throws for what came. */
export function verifyReply(keys: PublicKeys, exchange: Exchange, header: string | undefined): Refusal | undefined {
  const [keyId, value, rest] = header?.split(' ') ?? [];
  if (keyId === undefined || value === undefined || rest !== undefined) return { reason: 'unsigned' };
  return judge(keys, keyId, value, signedBytes(exchange));
}
