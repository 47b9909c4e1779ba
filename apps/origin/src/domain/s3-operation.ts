/** Which operation of the S3 API a request asks for, by method, resource and the query parameter that S3 calls a subresource. */
import { type Fields, fieldOf } from '@sluice/http-semantics';
import { S3Error } from './s3-error.ts';
import type { Resource } from './s3-resource.ts';

interface Route {
  readonly method: string;
  readonly on: Resource['kind'];
  /** The query parameter that asks for it. */
  readonly subresource?: string;
  /** The header field that asks for it. */
  readonly header?: string;
}

/** By the names that Amazon gives them, https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html. Where several match, the first one is meant. */
const ROUTES = {
  ListBuckets: { method: 'GET', on: 'service' },

  CreateBucket: { method: 'PUT', on: 'bucket' },
  HeadBucket: { method: 'HEAD', on: 'bucket' },
  DeleteBucket: { method: 'DELETE', on: 'bucket' },
  GetBucketLocation: { method: 'GET', on: 'bucket', subresource: 'location' },
  GetBucketVersioning: { method: 'GET', on: 'bucket', subresource: 'versioning' },
  ListObjectVersions: { method: 'GET', on: 'bucket', subresource: 'versions' },
  ListMultipartUploads: { method: 'GET', on: 'bucket', subresource: 'uploads' },
  ListObjectsV2: { method: 'GET', on: 'bucket', subresource: 'list-type' },
  ListObjects: { method: 'GET', on: 'bucket' },
  DeleteObjects: { method: 'POST', on: 'bucket', subresource: 'delete' },

  CreateMultipartUpload: { method: 'POST', on: 'object', subresource: 'uploads' },
  UploadPartCopy: { method: 'PUT', on: 'object', subresource: 'uploadId', header: 'x-amz-copy-source' },
  UploadPart: { method: 'PUT', on: 'object', subresource: 'uploadId' },
  CompleteMultipartUpload: { method: 'POST', on: 'object', subresource: 'uploadId' },
  AbortMultipartUpload: { method: 'DELETE', on: 'object', subresource: 'uploadId' },
  ListParts: { method: 'GET', on: 'object', subresource: 'uploadId' },
  GetObjectTagging: { method: 'GET', on: 'object', subresource: 'tagging' },
  PutObjectTagging: { method: 'PUT', on: 'object', subresource: 'tagging' },
  DeleteObjectTagging: { method: 'DELETE', on: 'object', subresource: 'tagging' },
  CopyObject: { method: 'PUT', on: 'object', header: 'x-amz-copy-source' },
  PutObject: { method: 'PUT', on: 'object' },
  GetObject: { method: 'GET', on: 'object' },
  HeadObject: { method: 'HEAD', on: 'object' },
  DeleteObject: { method: 'DELETE', on: 'object' },
} as const satisfies Record<string, Route>;

export type Operation = keyof typeof ROUTES;

/** Subresources of operations above. `list-type` has one value only. */
const KNOWN: ReadonlySet<string> = new Set(Object.values<Route>(ROUTES).flatMap(({ subresource }) => subresource ?? []));

/** Query parameters that ask S3 for something that there is not here. Not knowing them would store or return the wrong thing. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  ...[
    'accelerate',
    'acl',
    'analytics',
    'append',
    'attributes',
    'cors',
    'encryption',
    'intelligent-tiering',
    'inventory',
    'legal-hold',
    'lifecycle',
  ],
  ...[
    'logging',
    'metrics',
    'notification',
    'object-lock',
    'ownershipControls',
    'policy',
    'policyStatus',
    'publicAccessBlock',
    'renameObject',
  ],
  ...['replication', 'requestPayment', 'restore', 'retention', 'select', 'select-type', 'session', 'torrent', 'website'],
]);

/** @throws {S3Error} `NotImplemented`, `MethodNotAllowed`, `InvalidArgument` */
export function operationOf(method: string, resource: Resource, query: URLSearchParams, headers: Fields): Operation {
  const named = [...query.keys()];
  const unsupported = named.find((name) => UNSUPPORTED.has(name));
  if (unsupported !== undefined) throw new S3Error('NotImplemented', `"?${unsupported}" is not supported`);
  const subresources = named.filter((name) => KNOWN.has(name));
  if (query.has('list-type') && query.get('list-type') !== '2') throw new S3Error('InvalidArgument', 'list-type: must be 2');
  for (const [operation, route] of Object.entries<Route>(ROUTES)) {
    if (route.method !== method || route.on !== resource.kind) continue;
    if (route.subresource === undefined ? subresources.length > 0 : !query.has(route.subresource)) continue;
    if (route.header !== undefined && fieldOf(headers, route.header) === undefined) continue;
    return operation as Operation;
  }
  const what = subresources.length === 0 ? `a ${resource.kind}` : `"?${subresources[0]}" of a ${resource.kind}`;
  throw new S3Error('MethodNotAllowed', `${method} is not possible for ${what}`);
}

/** The methods that a resource takes, for `Allow`. */
export function methodsFor({ kind }: Resource): string {
  return [...new Set(Object.values<Route>(ROUTES).flatMap(({ method, on }) => (on === kind ? method : [])))].join(', ');
}
