import { S3Error } from '../../domain/s3-error.ts';
import type { Exchange } from './exchange.ts';

/**
 * Asks for a body that is small enough to be held, and reads it.
 * @throws {S3Error} `tooLarge` beyond `maxBytes`, before the body when its length is announced; `IncompleteBody` when it ends too soon
 */
export async function readBody(exchange: Exchange, maxBytes: number, tooLarge = entityTooLarge): Promise<Buffer> {
  const { request } = exchange;
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  exchange.accept();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    // Leaving this loop early must not end the connection: the refusal still has to go out.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > maxBytes) throw tooLarge(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error !== request.errored) throw error;
    throw new S3Error('IncompleteBody', 'the connection ended inside the body', error);
  }
  return Buffer.concat(chunks);
}

function entityTooLarge(maxBytes: number): S3Error {
  return new S3Error('EntityTooLarge', `the body may have at most ${maxBytes} bytes`);
}
