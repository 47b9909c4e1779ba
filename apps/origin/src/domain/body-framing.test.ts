import { describe, expect, test } from 'vitest';
import { contentEncodingOf, framingOf } from './body-framing.ts';

const LENGTH = { 'x-amz-decoded-content-length': '5' };
const TRAILER = { 'x-amz-trailer': 'x-amz-checksum-crc32' };

describe('a body is framed when x-amz-content-sha256 says so', () => {
  test.each([
    ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', {}, { signed: true, trailer: false }],
    ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', TRAILER, { signed: true, trailer: true }],
    ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', TRAILER, { signed: false, trailer: true }],
  ])('%s', (payload, more, form) => {
    expect(framingOf({ 'x-amz-content-sha256': payload, ...LENGTH, ...more })).toEqual({ ...form, contentLength: 5 });
  });

  test.each([{}, { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }, { 'x-amz-content-sha256': 'constructor' }])('%j says not', (headers) => {
    expect(framingOf(headers)).toBeUndefined();
  });

  test.each([
    ['STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', LENGTH, 'NotImplemented'],
    ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', {}, 'MissingContentLength'],
    ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', { 'x-amz-decoded-content-length': '-1' }, 'MissingContentLength'],
    ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', { ...LENGTH, ...TRAILER }, 'InvalidRequest'],
    ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', LENGTH, 'InvalidRequest'],
    ['UNSIGNED-PAYLOAD', LENGTH, 'InvalidRequest'],
    ['UNSIGNED-PAYLOAD', TRAILER, 'InvalidRequest'],
    ['UNSIGNED-PAYLOAD', { 'content-encoding': 'gzip, AWS-chunked' }, 'InvalidRequest'],
  ])('%s with %j is refused as %s', (payload, more, code) => {
    expect(() => framingOf({ 'x-amz-content-sha256': payload, ...more })).toThrow(expect.objectContaining({ code }));
  });
});

test.each([
  [undefined, undefined],
  ['aws-chunked', undefined],
  ['aws-chunked, gzip', 'gzip'],
  ['gzip,aws-chunked', 'gzip'],
  ['br,  gzip', 'br,  gzip'],
])('of the codings %j the content has %j', (value, own) => {
  expect(contentEncodingOf({ 'content-encoding': value })).toBe(own);
});
