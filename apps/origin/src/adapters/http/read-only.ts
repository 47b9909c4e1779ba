import { changesContent } from '../../domain/rights.ts';
import { S3Error } from '../../domain/s3-error.ts';
import type { Operation } from '../../domain/s3-operation.ts';
import type { SourceKind } from '../../services/source-port.ts';
import type { S3Handler, S3Handlers } from './s3-handler.ts';

/** Where the content of an origin is changed that only shows it. */
const PLACE: Readonly<Record<Exclude<SourceKind, 'store'>, string>> = {
  directory: 'the files of a directory: change them there',
  s3: 'the objects of a bucket of another service: upload them there',
};

/** @throws {S3Error} `MethodNotAllowed` */
export function refuseChange(kind: Exclude<SourceKind, 'store'>): never {
  throw new S3Error('MethodNotAllowed', `nothing can be written here, this origin shows ${PLACE[kind]}`);
}

/** The handlers of an origin whose content stands at a source: what would change it is refused. */
export function readOnlyHandlers(handlers: S3Handlers, kind: Exclude<SourceKind, 'store'>): S3Handlers {
  const refuse: S3Handler = () => refuseChange(kind);
  const entries = Object.entries(handlers) as [Operation, S3Handler<never>][];
  return Object.fromEntries(entries.map(([operation, handler]) => [operation, changesContent(operation) ? refuse : handler]));
}
