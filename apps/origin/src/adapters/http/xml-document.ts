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

/** The root element of a document. */
export function xmlElement(root: string, content: XmlParent, namespace?: string): string {
  return builder.build({ [root]: namespace === undefined ? content : { '@xmlns': namespace, ...content } });
}
