import { createHmac } from 'node:crypto';
import { S3Error } from '../../domain/s3-error.ts';

const SEAL_BYTES = 12;
/** A key's 1,024 bytes and the seal, in base64url. */
const TOKEN_MAX_CHARACTERS = 1400;

/**
 * A place in a list, as clients get it: sealed, so that one that was changed, cut or is of another list or catalog is refused instead of read as some
 * place. It protects nothing.
 */
export function writeToken(catalogId: string, list: string, place: string): string {
  return Buffer.concat([seal(catalogId, list, place), Buffer.from(place)]).toString('base64url');
}

/** @throws {S3Error} `InvalidArgument` */
export function readToken(catalogId: string, list: string, token: string): string {
  const bytes = Buffer.from(token.slice(0, TOKEN_MAX_CHARACTERS), 'base64url');
  const place = bytes.subarray(SEAL_BYTES).toString();
  if (place === '' || writeToken(catalogId, list, place) !== token) {
    throw new S3Error(
      'InvalidArgument',
      'continuation-token: must be one that this list was answered with; begin the list again without it',
    );
  }
  return place;
}

function seal(catalogId: string, list: string, place: string): Buffer {
  return createHmac('sha256', catalogId).update(`${list}/${place}`).digest().subarray(0, SEAL_BYTES);
}
