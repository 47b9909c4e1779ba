/** What Amazon's client throws → words that say what to do. */

/** What is looked at of it. Nothing else goes into a log: it holds signatures and what was signed. */
interface Failure {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly Region?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
}

/** What was asked, for the right that it takes. */
export type S3Action = 's3:ListBucket' | 's3:GetObject' | 's3:GetObjectTagging';

const MESSAGE_MAX_CHARACTERS = 300;

const WORDS_BY_NAME: Readonly<Record<string, string>> = {
  NoSuchBucket: 'the service has no bucket of this name; correct the name or create the bucket',
  InvalidBucketName: 'this can be no name of a bucket; correct it',
  InvalidAccessKeyId: 'the service does not know the access key; correct it',
  SignatureDoesNotMatch: 'the secret does not belong to the access key; correct it',
  InvalidToken: 'the service does not take the session token; renew the credentials',
  ExpiredToken: 'the credentials have expired; renew them',
  CredentialsProviderError: 'there are no credentials; configure an access key and its secret',
  RequestTimeTooSkewed: 'the clocks of this machine and of the service differ by more than 15 minutes; set them right',
  TimeoutError: 'the service did not answer in time; it is asked again later',
};

const WORDS_BY_CODE: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name of its host is not known; correct the endpoint or see to the name service',
  EAI_AGAIN: 'the name service does not answer; it is asked again later',
  ECONNREFUSED: 'nothing listens there; start the service or correct the endpoint',
  EHOSTUNREACH: 'its host cannot be reached; see to the network',
  ENETUNREACH: 'its network cannot be reached; see to the network',
  ECONNRESET: 'the connection was cut; it is made again later',
  EPROTO: 'it does not speak TLS; write the endpoint with http:// if that is what is meant',
};

/** The status of an answer; undefined when there was none. */
export function statusOf(error: unknown): number | undefined {
  const { $metadata, $response } = failureOf(error);
  return $metadata?.httpStatusCode ?? $response?.statusCode;
}

/** Whether the answer was that there is no such object, or another one. */
export function saysGone(error: unknown): boolean {
  const status = statusOf(error);
  // 304: a cache between that takes If-Match for If-None-Match. 416: it has become shorter.
  return status === 412 || status === 416 || status === 304 || (status === 404 && failureOf(error).name !== 'NoSuchBucket');
}

/** Whether the object is kept where it cannot be read from (https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html). */
export function saysArchived(error: unknown): boolean {
  return failureOf(error).name === 'InvalidObjectState';
}

/** Why a request failed, and what to do. */
export function reasonOf(error: unknown, action: S3Action): string {
  const { name, code, message } = failureOf(error);
  const words = own(WORDS_BY_NAME, name) ?? own(WORDS_BY_CODE, code);
  if (words !== undefined) return words;
  const status = statusOf(error);
  if (isElsewhere(error)) return `the bucket is in ${regionOf(error)}; correct the region or the endpoint`;
  if (status === 401 || status === 403) return `the credentials lack the right ${action}; grant it for the bucket and its objects`;
  if (status === 429 || status === 503 || name === 'SlowDown') {
    return `the service is too busy (${status ?? name}, asked ${attemptsOf(error)}); it is asked again later`;
  }
  if (status !== undefined && status >= 500) return `the service failed (${status}, asked ${attemptsOf(error)}); it is asked again later`;
  if (typeof code === 'string' && /^(?:CERT_|DEPTH_|UNABLE_|SELF_SIGNED|ERR_TLS)/.test(code)) {
    return `its certificate is not trusted (${code}); correct it, or name the authority's certificate in NODE_EXTRA_CA_CERTS`;
  }
  if (status !== undefined && status < 400) return notS3(status);
  return `${status === undefined ? '' : `${status} `}${String(name)}: ${bounded(message)}`;
}

/** What something says that is no S3 service: a proxy, a page for people. */
export function notS3(status: number): string {
  return `the answer (${status}) is not that of an S3 service; correct the endpoint, or see to what stands between`;
}

/** The error as it may be logged. */
export function bareError(error: unknown): Error {
  const { name, message } = failureOf(error);
  return new Error(`${String(name)}: ${bounded(message)}`);
}

function failureOf(error: unknown): Failure {
  return typeof error === 'object' && error !== null ? error : { name: 'Error', message: error };
}

function own(words: Readonly<Record<string, string>>, name: unknown): string | undefined {
  return typeof name === 'string' && Object.hasOwn(words, name) ? words[name] : undefined;
}

function isElsewhere(error: unknown): boolean {
  const status = statusOf(error);
  const { name } = failureOf(error);
  return status === 301 || status === 307 || status === 308 || name === 'PermanentRedirect' || name === 'AuthorizationHeaderMalformed';
}

function regionOf(error: unknown): string {
  const { $response, Region } = failureOf(error);
  const region = $response?.headers?.['x-amz-bucket-region'] ?? Region;
  return typeof region === 'string' && /^[a-z0-9-]{1,40}$/.test(region) ? `the region ${region}` : 'another region, or at another endpoint';
}

function attemptsOf(error: unknown): string {
  const attempts = failureOf(error).$metadata?.attempts ?? 1;
  return attempts === 1 ? 'once' : `${attempts} times`;
}

function bounded(message: unknown): string {
  return String(message).slice(0, MESSAGE_MAX_CHARACTERS).toWellFormed();
}
