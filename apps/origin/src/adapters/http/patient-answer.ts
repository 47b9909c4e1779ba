/** Answers for which the client may have to wait: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html */
import type { Clock } from '@sluice/runtime';
import { toS3Error } from '../../domain/s3-error.ts';
import type { Exchange, HeaderList } from './exchange.ts';
import { XML_DECLARATION, XML_TYPE } from './xml-document.ts';

/** Silence after which a client is kept alive. */
export const PATIENCE_MS = 5_000;

export interface Document {
  readonly headers: HeaderList;
  /** Its root element. */
  readonly element: string;
}

/**
 * Answers with the document that `work` makes. When that takes long the answer begins as a 200 and white space keeps the client there, so that what
 * fails then is an error document inside of the 200. @throws what `work` threw
 */
export async function answerPatiently(exchange: Exchange, clock: Clock, work: () => Promise<Document>): Promise<void> {
  const { response } = exchange;
  let begun = false;
  const keepAlive = (): void => {
    if (!begun) response.writeHead(200, { 'content-type': XML_TYPE });
    // The declaration must be the first of a document; white space may follow it.
    if (!response.destroyed) response.write(begun ? ' ' : XML_DECLARATION);
    begun = true;
    cancel = clock.after(PATIENCE_MS, keepAlive);
  };
  let cancel = clock.after(PATIENCE_MS, keepAlive);
  try {
    const { headers, element } = await work();
    if (begun) response.end(element);
    else exchange.answer({ status: 200, headers, contentType: XML_TYPE, body: XML_DECLARATION + element });
  } catch (error) {
    if (begun) response.end(exchange.errorElement(toS3Error(error)));
    throw error;
  } finally {
    cancel();
  }
}
