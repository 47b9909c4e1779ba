/** Documents of the S3 API, written. */
import { XMLBuilder } from 'fast-xml-parser';

export const XML_TYPE = 'application/xml';
export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';
const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

const builder = new XMLBuilder({ ignoreAttributes: false, attributeNamePrefix: '@' });

/** One element with what is in it, in S3's namespace. Undefined values are left out; arrays are repeated elements. */
export function xmlElement(name: string, content: object): string {
  return builder.build({ [name]: { '@xmlns': NAMESPACE, ...content } });
}

/** An element without a namespace, as errors are. */
export function plainElement(name: string, content: object): string {
  return builder.build({ [name]: content });
}
