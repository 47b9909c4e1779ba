/** AWS Signature Version 4 as S3 takes it, for both sides. */
export { canonicalRequest, EMPTY_SHA256, type SignedParts, UNSIGNED_PAYLOAD, uriEncode } from './canonical-request.ts';
export { type ChunkSeed, ChunkSignatures } from './chunk-signatures.ts';
export { type Credentials, type Signable, signedFields } from './sign.ts';
export { ALGORITHM, amzDate, type Scope, scopeText, signatureOf, signaturesEqual, signingKey, stringToSign } from './signature.ts';
