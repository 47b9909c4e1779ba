/** AWS Signature Version 4 as S3 takes it, for both sides, and Version 2 of links. */
export { canonicalRequest, EMPTY_SHA256, type SignedParts, UNSIGNED_PAYLOAD, uriEncode } from './canonical-request.ts';
export { type ChunkSeed, ChunkSignatures } from './chunk-signatures.ts';
export { type Credentials, type Signable, signedFields } from './sign.ts';
export { ALGORITHM, amzDate, type Scope, scopeText, signatureOf, signaturesEqual, signingKey, stringToSign } from './signature.ts';
export { isAmbiguousV2, SIGNED_PARAMETERS_V2, type SignedPartsV2, signatureV2, stringToSignV2 } from './version-2.ts';
