import { S3Error } from '../../domain/s3-error.ts';
import type { Exchange } from './exchange.ts';

/** Reads a body that is held in memory. @throws {S3Error} `EntityTooLarge` beyond `maxBytes` */
export async function readSmallBody(exchange: Exchange, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = (): S3Error => new S3Error('EntityTooLarge', `the body may have at most ${maxBytes} bytes`);
  if (Number(exchange.request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  exchange.accept();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of exchange.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
