import { describe, expect, test } from 'vitest';
import { methodsFor, operationOf } from './s3-operation.ts';
import { resourceOf, targetQuery } from './s3-resource.ts';

const asked = (method: string, target: string, headers = {}) => operationOf(method, resourceOf(target), targetQuery(target), headers);
const COPY = { 'x-amz-copy-source': '/site/b' };

describe('what is asked for', () => {
  test.each([
    ['GET', '/', 'ListBuckets'],
    ['PUT', '/site', 'CreateBucket'],
    ['GET', '/site?location', 'GetBucketLocation'],
    ['GET', '/site', 'ListObjects'],
    ['GET', '/site/?prefix=a&delimiter=/', 'ListObjects'],
    ['GET', '/site?list-type=2&prefix=a', 'ListObjectsV2'],
    ['GET', '/site?versions&prefix=a', 'ListObjectVersions'],
    ['POST', '/site?delete', 'DeleteObjects'],
    ['GET', '/site/a', 'GetObject'],
    ['GET', '/site/a?partNumber=1', 'GetObject'],
    ['GET', '/site/a?versionId=1&x-id=GetObject', 'GetObject'],
    ['PUT', '/site/a', 'PutObject'],
    ['POST', '/site/a?uploads', 'CreateMultipartUpload'],
    ['PUT', '/site/a?partNumber=1&uploadId=x', 'UploadPart'],
    ['POST', '/site/a?uploadId=x', 'CompleteMultipartUpload'],
    ['PUT', '/site/a?tagging', 'PutObjectTagging'],
  ])('%s %s is %s', (method, target, operation) => expect(asked(method, target)).toBe(operation));

  test('a source makes a copy of an upload', () => {
    expect([asked('PUT', '/site/a', COPY), asked('PUT', '/site/a?partNumber=1&uploadId=x', COPY)]).toEqual([
      'CopyObject',
      'UploadPartCopy',
    ]);
  });

  test.each([
    ['PUT', '/site/a?acl', 'NotImplemented'],
    ['GET', '/site?policy', 'NotImplemented'],
    ['POST', '/site/a?select&select-type=2', 'NotImplemented'],
    ['POST', '/site/a', 'MethodNotAllowed'],
    ['PATCH', '/site/a', 'MethodNotAllowed'],
    ['DELETE', '/', 'MethodNotAllowed'],
    ['DELETE', '/site?versioning', 'MethodNotAllowed'],
    ['PUT', '/site/a?versions', 'MethodNotAllowed'],
    ['GET', '/site?list-type=3', 'InvalidArgument'],
  ])('%s %s is refused as %s', (method, target, code) => expect(() => asked(method, target)).toThrow(expect.objectContaining({ code })));

  test('a subresource never ends in the operation without it', () => {
    expect(() => asked('DELETE', '/site/a?uploads')).toThrow(expect.objectContaining({ code: 'MethodNotAllowed' }));
    expect(() => asked('PUT', '/site?tagging')).toThrow(expect.objectContaining({ code: 'MethodNotAllowed' }));
  });

  test('the methods of a resource are named', () => {
    expect(methodsFor({ kind: 'object', bucket: 'site', key: 'site/a' })).toBe('POST, PUT, DELETE, GET, HEAD');
  });
});
