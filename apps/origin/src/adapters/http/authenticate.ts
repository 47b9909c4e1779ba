/** Who sends a request, by its signature, and whether that key may do what it asks for. */

import { fieldOf } from '@sluice/http-semantics';
import type { Clock } from '@sluice/runtime';
import { canonicalRequest, signatureOf, signaturesEqual, signatureV2, stringToSign, stringToSignV2, UNSIGNED_PAYLOAD } from '@sluice/sigv4';
import { type AccessKey, type AccessKeys, EVERY_BUCKET, type Need, SOME_BUCKET, unmetNeed } from '../../domain/access-key.ts';
import { checkNotExpired, checkSignedHeaders, checkTime } from '../../domain/claim-check.ts';
import { isOldLink, oldLinkClaimOf } from '../../domain/old-link.ts';
import { S3Error } from '../../domain/s3-error.ts';
import { resourceOf, targetPath, targetQuery } from '../../domain/s3-resource.ts';
import { claimOf, SIGNATURE_PARAMETER, type SignatureClaim } from '../../domain/signature-claim.ts';
import type { Exchange } from './exchange.ts';
import { SigningKeys } from './signing-keys.ts';

/** Lets through what the caller may do. @throws {S3Error} `AccessDenied`, naming the right that is missing */
export type Authorize = (needs: readonly Need[]) => void;

/** Who sends a request. */
export interface Caller {
  readonly authorize: Authorize;
  readonly may: (need: Need) => boolean;
}

export interface AuthenticationOptions {
  /** Those in force now; undefined: the origin has none, and whoever reaches it may do everything. */
  readonly keys: { readonly current: AccessKeys } | undefined;
  readonly clock: Clock;
}

export class Authentication {
  readonly #options: AuthenticationOptions;
  readonly #signingKeys = new SigningKeys();

  constructor(options: AuthenticationOptions) {
    this.#options = options;
  }

  /** @throws {S3Error} when the request has no signature of a key that is in force, or a wrong one */
  authenticate(exchange: Exchange): Caller {
    const { keys, clock } = this.#options;
    if (keys === undefined) {
      refuseWebPages(exchange.request);
      return { authorize: () => {}, may: () => true };
    }
    const key = isOldLink(targetQuery(exchange.target))
      ? keyOfOldLink(exchange, keys.current, clock.nowMs())
      : this.#keyOf(exchange, keys.current, clock.nowMs());
    return { authorize: (needs) => authorize(key, needs), may: (need) => unmetNeed(key, [need]) === undefined };
  }

  #keyOf(exchange: Exchange, keys: AccessKeys, nowMs: number): AccessKey {
    const claim = claimOf(exchange.request.headers, targetQuery(exchange.target));
    const key = keyNamed(claim.accessKeyId, keys);
    checkTime(claim, nowMs);
    checkSignedHeaders(claim.signedHeaders, Object.keys(exchange.request.headersDistinct));
    const signing = this.#signingKeys.of(key.secretAccessKey, claim.scope);
    checkSignature(exchange, claim, signing);
    exchange.chunkSeed = { key: signing, date: claim.date, scope: claim.scope, signature: claim.signature };
    return key;
  }
}

/** The host is not signed; the bucket that it may name is, as a part of the path. */
function keyOfOldLink({ request, pathStyleTarget }: Exchange, keys: AccessKeys, nowMs: number): AccessKey {
  const { method = '', headers, headersDistinct } = request;
  const query = targetQuery(pathStyleTarget);
  const claim = oldLinkClaimOf(method, resourceOf(pathStyleTarget).kind, headers, query);
  const key = keyNamed(claim.accessKeyId, keys);
  checkNotExpired(claim.expiresMs, nowMs);
  const toSign = stringToSignV2({ method, path: targetPath(pathStyleTarget), query, headers: headersDistinct, expires: claim.expires });
  if (!signaturesEqual(signatureV2(key.secretAccessKey, toSign), claim.signature)) throw otherSignature({ StringToSign: toSign });
  return key;
}

function keyNamed(accessKeyId: string, keys: AccessKeys): AccessKey {
  const key = keys.get(accessKeyId);
  if (key === undefined) throw new S3Error('InvalidAccessKeyId', 'this origin has no such access key id');
  return key;
}

/** A browser sends some requests for any page without asking first (https://fetch.spec.whatwg.org/#cors-safelisted-method), also to loopback; it says where the page is from. */
function refuseWebPages({ method, headers }: Exchange['request']): void {
  if (method === 'GET' || method === 'HEAD' || headers.origin === undefined) return;
  throw new S3Error('AccessDenied', 'a web page may not change anything at an origin without keys; set ORIGIN_KEYS_FILE');
}

function checkSignature({ request, target }: Exchange, claim: SignatureClaim, key: Buffer): void {
  const payloadHash =
    fieldOf(request.headers, 'x-amz-content-sha256') ?? (claim.expiresSeconds === undefined ? undefined : UNSIGNED_PAYLOAD);
  if (payloadHash === undefined) {
    throw new S3Error('InvalidRequest', 'x-amz-content-sha256 is missing: the SHA-256 of the body in hexadecimal, or UNSIGNED-PAYLOAD');
  }
  const canonical = canonicalRequest({
    method: request.method ?? '',
    path: decodeURIComponent(targetPath(target)),
    query: [...targetQuery(target)].filter(([name]) => name !== SIGNATURE_PARAMETER),
    headers: request.headersDistinct,
    signedHeaders: claim.signedHeaders,
    payloadHash,
  });
  const toSign = stringToSign(claim.date, claim.scope, canonical);
  if (signaturesEqual(signatureOf(key, toSign), claim.signature)) return;
  throw otherSignature({ StringToSign: toSign, CanonicalRequest: canonical });
}

function otherSignature(signed: Readonly<Record<string, string>>): S3Error {
  const message = 'the signature is another one than that of this request; check the secret and what is signed, which is below';
  return new S3Error('SignatureDoesNotMatch', message, undefined, signed);
}

const WHERE: Readonly<Record<string, string>> = { [EVERY_BUCKET]: 'on every bucket ("*")', [SOME_BUCKET]: 'on any bucket' };

function authorize(key: AccessKey, needs: readonly Need[]): void {
  const unmet = unmetNeed(key, needs);
  if (unmet === undefined) return;
  const where = WHERE[unmet.bucket] ?? `on the bucket "${unmet.bucket}"`;
  throw new S3Error('AccessDenied', `the key ${key.accessKeyId} has not the right "${unmet.right}" ${where}`);
}
