/** Writes the XML that the S3 API answers with. */
import { XMLBuilder } from 'fast-xml-parser';

export const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';
export const XML_TYPE = 'application/xml';
/** Begins a document: its root element follows, with or without white space between. */
export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** An element: text, its children by name, or several of the name. What is undefined is left out. */
export type XmlContent = string | number | boolean | XmlParent | readonly XmlContent[];
export interface XmlParent {
  readonly [name: string]: XmlContent | undefined;
}

const builder = new XMLBuilder({ ignoreAttributes: false, attributeNamePrefix: '@' });

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NOT_IN_TEXT = /[\u0000-\u001f\u007f\ufffe\uffff]/g;

/**
 * The root element of a document, in one line. Characters that XML 1.0 has not in text, or changes when it is read, are written as references, as S3 does; a client that
 * cannot read them asks with `encoding-type=url`.
 */
export function xmlElement(root: string, content: XmlContent, namespace?: string): string {
  const element =
    namespace === undefined ? content : { '@xmlns': namespace, ...(typeof content === 'object' ? content : { '#text': content }) };
  const text: string = builder.build({ [root]: element });
  return text.replace(NOT_IN_TEXT, (character) => `&#${character.charCodeAt(0)};`);
}
