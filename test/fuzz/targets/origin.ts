/** What an origin reads off its connections. */
import { keyProblem } from '@sluice/contracts';
import { signatureOf, signaturesEqual, signingKey } from '@sluice/sigv4';
import { z } from 'zod';
import { parseXml } from '../../../apps/origin/src/adapters/http/xml-body.ts';
import { xmlElement } from '../../../apps/origin/src/adapters/http/xml-document.ts';
import { AwsChunkedDecoder, TRAILERS_MAX } from '../../../apps/origin/src/domain/aws-chunked.ts';
import { framingOf } from '../../../apps/origin/src/domain/body-framing.ts';
import { checkSignedHeaders, checkTime } from '../../../apps/origin/src/domain/claim-check.ts';
import { completeRequest } from '../../../apps/origin/src/domain/complete-request.ts';
import { checkCopySource, copyFields, copySource, copySourceRange } from '../../../apps/origin/src/domain/copy-request.ts';
import { nameEncoder, pageLimit, wholeNumber } from '../../../apps/origin/src/domain/list-query.ts';
import { partNumberOf } from '../../../apps/origin/src/domain/multipart.ts';
import { commonPrefix, listingRange } from '../../../apps/origin/src/domain/object-listing.ts';
import { pairOf, tagsOf, tagsOfHeader } from '../../../apps/origin/src/domain/object-tags.ts';
import { isOldLink, oldLinkClaimOf } from '../../../apps/origin/src/domain/old-link.ts';
import { presignedFields } from '../../../apps/origin/src/domain/presigned-fields.ts';
import { S3Error } from '../../../apps/origin/src/domain/s3-error.ts';
import { operationOf } from '../../../apps/origin/src/domain/s3-operation.ts';
import { resourceOf, targetPath, targetQuery } from '../../../apps/origin/src/domain/s3-resource.ts';
import { claimOf } from '../../../apps/origin/src/domain/signature-claim.ts';
import { expectedBody, trailerDigests } from '../../../apps/origin/src/domain/upload-digests.ts';
import { uploadFields } from '../../../apps/origin/src/domain/upload-headers.ts';
import { versionAsked } from '../../../apps/origin/src/domain/version-id.ts';
import { inPathStyle } from '../../../apps/origin/src/domain/virtual-host.ts';
import { writeGuard } from '../../../apps/origin/src/domain/write-guard.ts';
import { mutateBytes, mutateText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { checkedWords, law, orRefusal, target, Violation } from '../target.ts';

const URLS = [
  '/site/a/b%20c.js?versionId=1790000000000000',
  '/site?list-type=2&prefix=a%2Fb&delimiter=%2F&max-keys=10&continuation-token=YWJj&start-after=x',
  '/site?versions&key-marker=a&version-id-marker=1',
  '/site/a?uploadId=u-1&partNumber=3',
  '/site/a?tagging',
  '/?x-id=ListBuckets',
  'http://site.s3.example/a?uploads',
  '/site?delete',
  '/site/%C3%A9/../x',
];
const URL_WORDS = [
  '%',
  '%2F',
  '%00',
  '..',
  '/',
  '?',
  '&',
  '=',
  '+',
  '%C3',
  '%ff',
  'acl',
  'list-type=',
  'uploadId',
  '-1',
  '99999999999',
  '#',
  'http://',
  '://',
  '//',
];

export const s3Targets = target({
  name: 's3-targets',
  law: 'a target asks for one operation on something with a name that can be one, or is refused with a code of S3',
  make: (random) => ({
    method: random.pick(['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH', '__proto__']),
    url: mutateText(random, random.pick(URLS), URL_WORDS),
    host: mutateText(random, random.pick(['site.s3.example', 's3.example:9000', 'x']), ['.', ':', 's3.example', '/', 'S3']),
    name: random.pick(['max-keys', 'part-number-marker', 'encoding-type', 'partNumber']),
  }),
  check({ method, url, host, name }) {
    const ends = orRefusal(() => {
      const styled = inPathStyle(url, host, ['s3.example', 'deep.s3.example']);
      const resource = resourceOf(styled);
      const query = targetQuery(url);
      if (resource.kind === 'object') law(keyProblem(resource.key) === undefined, () => `the key ${resource.key}`);
      if (resource.kind === 'bucket') law(/^[a-z0-9.-]{1,63}$/.test(resource.bucket), () => `the bucket ${resource.bucket}`);
      operationOf(method, resource, query, {});
      versionAsked(query.get('versionId'));
      wholeNumber(query, name, 1);
      law(pageLimit(query, 'max-keys') <= 1_000, () => 'a page without end');
      nameEncoder(query)(query.get('prefix') ?? '');
      const scope = { bucket: 'site', prefix: query.get('prefix') ?? '', delimiter: query.get('delimiter') || undefined };
      const after = query.get('start-after') ?? undefined;
      const { from, to } = listingRange(scope, after);
      law(from instanceof Uint8Array && to instanceof Uint8Array, () => 'no range');
      commonPrefix(scope, `${scope.prefix}${targetPath(url)}`);
      if (query.has('partNumber')) partNumberOf(query.get('partNumber'));
      return resource;
    }, [S3Error]);
    if (ends instanceof S3Error) law(ends.status >= 400 && ends.status < 600, () => `the status ${ends.status}`);
  },
});

const DAY = '20260110';
const AT = `${DAY}T101112Z`;
const AT_MS = Date.UTC(2026, 0, 10, 10, 11, 12);
const CREDENTIAL = `OWNER/${DAY}/eu-central-1/s3/aws4_request`;
const AUTHORIZATION = `AWS4-HMAC-SHA256 Credential=${CREDENTIAL}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=${'0a'.repeat(32)}`;
const PRESIGNED = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(CREDENTIAL)}&X-Amz-Date=${AT}&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=${'0a'.repeat(32)}`;
const OLD_LINK = 'AWSAccessKeyId=OWNER&Expires=1790000000&Signature=abcdefghijklmnopqrstuvwxyz0%3D&response-content-type=text%2Fplain';
const SIGN_WORDS = [
  ',',
  '=',
  ' ',
  ';',
  '/',
  '&',
  'Credential=',
  'SignedHeaders=',
  'Signature=',
  'X-Amz-Date=',
  'X-Amz-Expires=',
  '20260231T000000Z',
  '99991231T235959Z',
  '00000000T000000Z',
  'AWS ',
  '%',
  '\r\n',
  '+',
];

export const signatures = target({
  name: 'signatures',
  law: 'a claim of a signature is in time, signs its host and is well-formed, or is refused; no answer has the secret',
  make: (random) => ({
    authorization: random.oneIn(3) ? undefined : mutateText(random, AUTHORIZATION, SIGN_WORDS),
    date: random.oneIn(6) ? undefined : random.oneIn(3) ? mutateText(random, AT, SIGN_WORDS) : AT,
    query: random.oneIn(2)
      ? ''
      : mutateText(random, random.pick([PRESIGNED, OLD_LINK, `${PRESIGNED}&x-amz-acl=private&x-amz-checksum-crc32=AAAAAA==`]), SIGN_WORDS),
  }),
  check({ authorization, date, query: text }) {
    const query = new URLSearchParams(text);
    const headers: Record<string, string> = {
      host: 'x',
      ...(authorization === undefined ? {} : { authorization }),
      ...(date === undefined ? {} : { 'x-amz-date': date }),
    };
    for (const name of Object.keys(presignedFields(query)))
      law(name === name.toLowerCase() && !/^x-amz-signature$/.test(name), () => `the field ${name}`);
    orRefusal(() => {
      if (isOldLink(query)) {
        const claim = oldLinkClaimOf('GET', 'object', headers, query);
        law(Number.isSafeInteger(claim.expiresMs), () => `it ends at ${claim.expiresMs}`);
        return;
      }
      const claim = claimOf(headers, query);
      checkTime(claim, AT_MS);
      checkSignedHeaders(claim.signedHeaders, Object.keys(headers));
      law(/^[0-9a-f]{64}$/.test(claim.signature) && claim.signedHeaders.includes('host'), () => 'a claim that is none');
      law(Math.abs(claim.atMs - AT_MS) <= 15 * 60_000 || claim.expiresSeconds !== undefined, () => `of ${claim.date}`);
      const key = signingKey('s'.repeat(40), claim.scope);
      law(!signaturesEqual(signatureOf(key, 'x'), claim.signature), () => 'a made-up signature is right');
    }, [S3Error]);
  },
});

const HEADERS: readonly (readonly [string, string])[] = [
  ['content-type', 'text/html; charset=utf-8'],
  ['cache-control', 'max-age=60'],
  ['content-encoding', 'aws-chunked, gzip'],
  ['content-length', '12'],
  ['content-md5', '1B2M2Y8AsgTpgAmY7PhCfg=='],
  ['x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'],
  ['x-amz-content-sha256', 'UNSIGNED-PAYLOAD'],
  ['x-amz-decoded-content-length', '12'],
  ['x-amz-trailer', 'x-amz-checksum-crc32c'],
  ['x-amz-checksum-sha256', '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='],
  ['x-amz-checksum-type', 'FULL_OBJECT'],
  ['x-amz-meta-regions', 'US,IN'],
  ['x-amz-meta-tags', 'v41,home'],
  ['x-amz-meta-a', 'b'],
  ['x-amz-tagging', 'env=prod&v41'],
  ['x-amz-website-redirect-location', '/x'],
  ['x-amz-copy-source', '/site/a%20b?versionId=1790000000000000'],
  ['x-amz-copy-source-range', 'bytes=0-9'],
  ['x-amz-copy-source-if-match', '"abc"'],
  ['x-amz-metadata-directive', 'REPLACE'],
  ['x-amz-tagging-directive', 'COPY'],
  ['if-none-match', '*'],
  ['if-match', '"abc", abc'],
  ['expires', 'Sun, 06 Nov 1994 08:49:37 GMT'],
];
const HEADER_WORDS = [
  ',',
  ';',
  '=',
  '&',
  '"',
  '*',
  '/',
  '%',
  '%2F',
  '..',
  'STREAMING-',
  'aws-chunked',
  'crc32',
  'US',
  'COPY',
  'bytes=',
  '-',
  'versionId=',
  '\t',
  'é',
];
const MANIFEST = {
  key: 'site/a',
  version: 1,
  sha256: 'a'.repeat(64),
  size: 100,
  contentType: 'text/plain',
  meta: {},
  regions: [],
  tags: [],
  uploadedAt: '2026-01-10T10:11:12.000Z',
};

export const uploadHeaders = target({
  name: 'upload-headers',
  law: 'the fields of an upload or a copy are bounded and can stand in a header again, or are refused by name',
  make(random) {
    const fields: Record<string, string> = {};
    for (let left = random.between(1, 6); left > 0; left -= 1) {
      const [name, value] = random.pick(HEADERS);
      const own = random.oneIn(12) ? mutateText(random, name, ['x-amz-meta-', '__proto__', 'constructor', '-']).toLowerCase() : name;
      fields[own] = (random.oneIn(3) ? value : mutateText(random, value, HEADER_WORDS)).replace(/[\u0100-\uffff]/g, '?');
    }
    return { fields, many: random.oneIn(200) ? random.size(500) : 0 };
  },
  check({ fields, many }) {
    const headers = { ...fields, ...Object.fromEntries(Array.from({ length: many }, (_, at) => [`x-amz-meta-n${at}`, 'x'])) };
    const upload = orRefusal(() => uploadFields('site/a.html', headers), [S3Error]);
    if (!(upload instanceof Error)) {
      law(upload.tags.length <= 64 && upload.regions.length <= 64 && Object.keys(upload.meta).length <= 64, () => 'lists without end');
      for (const value of [upload.contentType, upload.cacheControl ?? '', ...Object.values(upload.meta)]) {
        law(!/[\r\n\0]/.test(value) && value.length <= 1_024, () => `the value ${JSON.stringify(value.slice(0, 99))}`);
      }
    }
    const body = orRefusal(() => expectedBody(headers), [S3Error]);
    if (!(body instanceof Error)) {
      law(
        body.contentLength === undefined || Number.isNaN(body.contentLength) || body.contentLength <= 5 * 2 ** 40,
        () => `${body.contentLength} bytes`,
      );
      orRefusal(() => trailerDigests(body, Object.entries(headers)), [S3Error]);
    }
    orRefusal(() => {
      const source = copySource(headers);
      law(keyProblem(source.key) === undefined, () => `copied from ${source.key}`);
      const { start, end } = copySourceRange(headers, 100);
      law(start >= 0 && start <= end && end < 100, () => `${start}-${end} of 100`);
      checkCopySource(headers, { manifest: MANIFEST, etag: 'abc' });
      copyFields('site/b', headers, { manifest: MANIFEST, etag: 'abc' });
    }, [S3Error]);
    orRefusal(() => writeGuard('site/a', headers)?.({ etag: 'abc' }), [S3Error]);
    const tags = orRefusal(() => tagsOfHeader(headers['x-amz-tagging'] ?? ''), [S3Error]);
    if (!(tags instanceof Error)) {
      law(
        JSON.stringify(orRefusal(() => tagsOf(tags.map(pairOf)), [S3Error])) === JSON.stringify(tags),
        () => `the tags ${tags} come back as others`,
      );
    }
    orRefusal(() => framingOf(headers), [S3Error]);
  },
});

const SIGNATURE = 'ab'.repeat(32);
const CHUNKED = [
  `5;chunk-signature=${SIGNATURE}\r\nhello\r\n0;chunk-signature=${SIGNATURE}\r\n\r\n`,
  `5;chunk-signature=${SIGNATURE}\r\nhello\r\n0;chunk-signature=${SIGNATURE}\r\nx-amz-checksum-crc32c:AAAAAA==\r\nx-amz-trailer-signature:${SIGNATURE}\r\n\r\n`,
  '3\r\nhel\r\n2\r\nlo\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\n\r\n',
];
const CHUNK_WORDS = [
  '\r\n',
  '\n',
  '0',
  '5',
  ';chunk-signature=',
  'x-amz-trailer-signature:',
  'a:b\r\n',
  'ffffffffffffffff',
  '\r\n\r\n',
  ' ',
].map((word) => Buffer.from(word));

export const chunkedBodies = target({
  name: 'aws-chunked',
  law: 'a framed body gives the announced number of bytes, the same however it is cut, or is refused',
  make: (random) => ({
    bytes: mutateBytes(random, Buffer.from(random.pick(CHUNKED)), CHUNK_WORDS),
    form: { signed: random.oneIn(2), trailer: random.oneIn(2), contentLength: random.oneIn(4) ? random.size(20) : 5 },
    cuts: Array.from({ length: random.below(4) }, () => random.below(200)),
  }),
  check({ bytes, form, cuts }) {
    const read = (pieces: readonly Uint8Array[]): string => {
      const decoder = new AwsChunkedDecoder(form);
      const content: Uint8Array[] = [];
      try {
        for (const piece of pieces) for (const framed of decoder.decode(piece)) if (framed.kind === 'content') content.push(framed.bytes);
        const trailer = decoder.finish();
        law(trailer.fields.length <= TRAILERS_MAX, () => 'a trailer without end');
        law(Buffer.concat(content).byteLength === form.contentLength, () => 'other bytes than announced');
        return `${Buffer.concat(content).toString('latin1')} ${JSON.stringify(trailer)}`;
      } catch (error) {
        if (!(error instanceof S3Error)) throw error;
        law(Buffer.concat(content).byteLength <= form.contentLength, () => 'more bytes than announced');
        return checkedWords(error).message;
      }
    };
    const places = [0, ...cuts.filter((cut) => cut < bytes.byteLength).toSorted((a, b) => a - b), bytes.byteLength];
    const cut = read(places.slice(1).map((end, at) => bytes.subarray(places[at], end)));
    const whole = read([bytes]);
    law(cut === whole, () => `cut: ${cut}; whole: ${whole}`);
  },
});

const DOCUMENTS = [
  {
    root: 'CompleteMultipartUpload',
    lists: ['Part'],
    schema: completeRequest,
    xml: '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>1</PartNumber><ETag>&quot;abc&quot;</ETag></Part><Part><ETag>b</ETag><PartNumber>2</PartNumber><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>',
  },
  {
    root: 'Delete',
    lists: ['Object'],
    schema: z.object({ Object: z.array(z.object({ Key: z.string().min(1) })).max(1000) }),
    xml: '<?xml version="1.0"?><Delete><Quiet>true</Quiet><Object><Key>a&amp;b&#x7;</Key></Object><Object><Key><![CDATA[<x>]]></Key></Object></Delete>',
  },
  {
    root: 'Tagging',
    lists: ['Tag'],
    schema: z.object({ TagSet: z.object({ Tag: z.array(z.object({ Key: z.string(), Value: z.string() })).optional() }).or(z.string()) }),
    xml: '<Tagging><TagSet><Tag><Key>env</Key><Value>prod</Value></Tag></TagSet></Tagging>',
  },
];
const XML_WORDS = [
  '<',
  '>',
  '</',
  '/>',
  '&',
  ';',
  '&#0;',
  '&#xD800;',
  '&#x110000;',
  '&lol;',
  '<!DOCTYPE a [<!ENTITY b "c">]>',
  '<!--',
  '-->',
  '<![CDATA[',
  ']]>',
  '<?',
  '?>',
  '<a>',
  '<Part>',
  'xmlns:a="b"',
  '<a:Key>',
  '<__proto__>',
  '<constructor>',
  '"',
  "'",
  '\0',
  '\ufffe',
  '<Object>',
  '<Key>',
];

export const xmlBodies = target({
  name: 's3-xml',
  law: 'a document of the S3 API is understood or refused as MalformedXML, and what is written is read as the same',
  make: (random) => {
    const at = random.below(DOCUMENTS.length);
    const text = nested(random, mutateText(random, DOCUMENTS[at]?.xml ?? '', XML_WORDS));
    return { at, bytes: random.oneIn(5) ? mutateBytes(random, Buffer.from(text)) : new Uint8Array(Buffer.from(text)) };
  },
  async check({ at, bytes }) {
    const { root, lists, schema } = DOCUMENTS[at] as (typeof DOCUMENTS)[number];
    const read = await parseXml(bytes, { root, lists, schema: schema as z.ZodType<object> }).catch((error: Error) => error);
    law(({} as { polluted?: unknown }).polluted === undefined, () => 'every object has what came as __proto__');
    if (read instanceof S3Error) {
      law(read.code === 'MalformedXML' && read.message.length < 1_000, () => `refused as ${read.code}: ${read.message.slice(0, 200)}`);
      checkedWords(read);
      return;
    }
    if (read instanceof Error) throw read;
    const text = Buffer.from(bytes).toString();
    const again = await parseXml(Buffer.from(xmlElement('A', { B: text })), { root: 'A', schema: z.object({ B: z.string() }) });
    if (again.B !== text.replace(/\r\n?/g, '\n') && again.B !== text) throw new Violation('text that is written is read as another one');
  },
});

function nested(random: Random, xml: string): string {
  if (!random.oneIn(40)) return xml;
  const depth = random.size(3_000);
  return xml.replace('</', `${'<a>'.repeat(depth)}${'</a>'.repeat(depth)}</`);
}
