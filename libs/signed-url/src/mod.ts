/** URLs that let their holder read private content until they expire. */
export {
  type Admission,
  checkSignedUrl,
  KEYS_MAX,
  redactSignature,
  type Scope,
  SECRET_MIN_BYTES,
  type SigningKey,
  signedQuery,
} from './signed-url.ts';
