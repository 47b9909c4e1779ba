/** What the origin says, signed with Ed25519 (RFC 8032): statements that others pass on, and replies to those who ask. */
export {
  type GeneratedKey,
  generateSigningKey,
  keyIdOf,
  type PublicKeys,
  parsePublicKeys,
  parseSigningKey,
  type SigningKey,
} from './keys.ts';
export { signReply, verifyReply } from './replies.ts';
export { canonicalStatement, type Statement, signStatement, verifyStatement } from './statements.ts';
export type { Refusal, SignatureRefusal } from './verdict.ts';
