/** Reads the XML that clients of the S3 API send: elements and text, as bounded as the body; no document types, no entities but XML's own five. */
import type { Fields } from '@sluice/http-semantics';
import { type EntityDecoderOptions, XMLParser } from 'fast-xml-parser';
import type { z } from 'zod';
import { S3Error } from '../../domain/s3-error.ts';
import type { Exchange } from './exchange.ts';
import { readSmallBody } from './request-body.ts';

/** Deeper than any document of the API. */
const DEPTH_MAX = 8;
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const decoder = new TextDecoder('utf-8', { fatal: true });

export interface XmlBodyOptions<Content> {
  /** The name of the root element. */
  readonly root: string;
  /** Its children by name. Elements without children are strings, empty ones ''. What it does not name is ignored. */
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
export function parseXml<Content>(bytes: Uint8Array, { root, schema, lists = [] }: Omit<XmlBodyOptions<Content>, 'maxBytes'>): Content {
  const document = parse(bytes, lists);
  const roots = Object.keys(document);
  if (roots.length !== 1 || roots[0] !== root) throw malformed(`the root element must be ${root}`);
  const checked = schema.safeParse(document[root] === '' ? {} : document[root]);
  if (checked.success) return checked.data;
  const { path = [], message } = checked.error.issues[0] ?? {};
  throw malformed(`${[root, ...path].join('.')}: ${message}`);
}

function parse(bytes: Uint8Array, lists: readonly string[]): Record<string, unknown> {
  try {
    const text = decoder.decode(bytes);
    // Nothing but a document type declares entities. The parser would read it.
    if (/<!DOCTYPE/i.test(text)) throw new Error('a document type is not possible');
    return new XMLParser({
      ignoreAttributes: true,
      ignoreDeclaration: true,
      ignorePiTags: true,
      removeNSPrefix: true,
      parseTagValue: false,
      trimValues: false,
      jPath: false,
      maxNestedTags: DEPTH_MAX,
      isArray: (name) => lists.includes(name),
      entityDecoder: ownEntities,
    }).parse(text, true);
  } catch (error) {
    throw malformed(error instanceof Error ? error.message.slice(0, 200) : '', error);
  }
}

/** XML's five entities and references to characters (XML 1.0 §4.1, §4.6). */
const ownEntities: EntityDecoderOptions = {
  setExternalEntities: () => {},
  addInputEntities: () => {},
  setXmlVersion: () => {},
  reset: () => {},
  decode: (text) => text.replace(/&(?:#(\d{1,7});|#x([0-9a-fA-F]{1,6});|(\w{1,4});)?/g, reference),
};

function reference(whole: string, decimal: string | undefined, hexadecimal: string | undefined, name: string | undefined): string {
  const code = decimal === undefined ? Number.parseInt(hexadecimal ?? '', 16) : Number(decimal);
  const character = Number.isNaN(code) ? ENTITIES[name ?? ''] : characterOf(code);
  if (!character?.isWellFormed()) throw new Error(`"${whole}" is no entity or character; write "&" as "&amp;"`);
  return character;
}

function characterOf(code: number): string | undefined {
  return code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
}

function tooLong(maxBytes: number): S3Error {
  return malformed(`the body may have at most ${maxBytes} bytes`);
}

function malformed(problem: string, cause?: unknown): S3Error {
  return new S3Error('MalformedXML', `the XML is not as it must be: ${problem}`, cause);
}
