/** Documents of the S3 API, read from requests. */
import { XMLParser } from 'fast-xml-parser';
import { S3Error } from '../../domain/s3-error.ts';
import type { Exchange } from './exchange.ts';

/** An ampersand that begins neither a character reference nor one of https://www.w3.org/TR/xml/#sec-predefined-ent. */
const FOREIGN_ENTITY = /&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)/;
/** What begins a DOCTYPE or CDATA, and no comment. */
const DECLARATION = /<!(?!--)/;
/** Elements inside each other: no document of S3 has more than five. */
const NESTED_MAX = 8;

const parser = new XMLParser({
  // What looks like a number is a key or an ETag.
  parseTagValue: false,
  trimValues: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  jPath: false,
  maxNestedTags: NESTED_MAX,
  // Without it character references stay as they are. More names than XML's five do not come this far.
  htmlEntities: true,
});

/**
 * The document in a request's body as nested objects of strings: text is exactly as sent, elements that come several times are arrays.
 * @throws {S3Error} `MalformedXML` also for one that is larger than `maxBytes` or has entities of its own; `IncompleteBody`
 */
export async function readXmlBody(exchange: Exchange, maxBytes: number): Promise<unknown> {
  const { request } = exchange;
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLong(maxBytes);
  exchange.accept();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > maxBytes) throw tooLong(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error !== request.errored) throw error;
    throw new S3Error('IncompleteBody', 'the connection ended inside the body', error);
  }
  return parseXml(Buffer.concat(chunks));
}

function parseXml(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new S3Error('MalformedXML', 'the body must be XML in UTF-8', error);
  }
  if (DECLARATION.test(text) || FOREIGN_ENTITY.test(text)) {
    throw new S3Error('MalformedXML', 'the body must have no DOCTYPE, no CDATA and no entities but those of XML itself');
  }
  try {
    return parser.parse(text, true);
  } catch (error) {
    throw new S3Error('MalformedXML', `the body must be well-formed XML: ${(error as Error).message}`, error);
  }
}

function tooLong(maxBytes: number): S3Error {
  return new S3Error('MalformedXML', `the body may have at most ${maxBytes} bytes`);
}
