/** Reads the XML that clients of the S3 API send. */
import type { Fields } from '@sluice/http-semantics';
import type { z } from 'zod';
import { S3Error } from '../../domain/s3-error.ts';
import type { Exchange } from './exchange.ts';
import { readSmallBody } from './request-body.ts';
import { readTree, type XmlValue } from './xml-tree.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });

export interface XmlBodyOptions<Content> {
  /** The name of the root element. */
  readonly root: string;
  /** Its children by name, as {@link XmlValue} has them; the root is an object also when it is empty. What it does not name is ignored. */
  readonly schema: z.ZodType<Content>;
  /** Names of elements of which there may be several: they are arrays. */
  readonly lists?: readonly string[];
  readonly maxBytes: number;
  /** The header fields that speak of the body; undefined: all of the request's. */
  readonly headers?: Fields;
}

/** Asks for an XML body, and compares it with the digests that were announced. @throws {S3Error} `MalformedXML`, and those of {@link checkBody} */
export async function readXmlBody<Content>(exchange: Exchange, options: XmlBodyOptions<Content>): Promise<Content> {
  return parseXml(await readSmallBody(exchange, options.maxBytes, tooLong, options.headers), options);
}

/** @throws {S3Error} `MalformedXML` */
export async function parseXml<Content>(
  bytes: Uint8Array,
  { root, schema, lists = [] }: Omit<XmlBodyOptions<Content>, 'maxBytes'>,
): Promise<Content> {
  const content = await parse(bytes, root, lists);
  const checked = schema.safeParse(typeof content === 'string' && content.trim() === '' ? {} : content);
  if (checked.success) return checked.data;
  const { path = [], message } = checked.error.issues[0] ?? {};
  throw malformed(`${[root, ...path].join('.')}: ${message}`);
}

async function parse(bytes: Uint8Array, root: string, lists: readonly string[]): Promise<XmlValue> {
  try {
    return await readTree(decoder.decode(bytes), root, lists);
  } catch (error) {
    throw malformed(error instanceof Error ? error.message.slice(0, 200) : '', error);
  }
}

function tooLong(maxBytes: number): S3Error {
  return malformed(`the body may have at most ${maxBytes} bytes`);
}

function malformed(problem: string, cause?: unknown): S3Error {
  return new S3Error('MalformedXML', `the XML is not as it must be: ${problem}`, cause);
}
