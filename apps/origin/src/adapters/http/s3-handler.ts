import type { Need } from '../../domain/access-key.ts';
import type { Operation } from '../../domain/s3-operation.ts';
import type { Resource } from '../../domain/s3-resource.ts';
import type { Exchange } from './exchange.ts';

/** A request of the S3 API about a resource of one kind. */
export interface S3Request<Kind extends Resource['kind'] = Resource['kind']> {
  readonly resource: Resource & { readonly kind: Kind };
  /** Decoded. */
  readonly query: URLSearchParams;
  /** Whether who sends it has a right. */
  readonly may: (need: Need) => boolean;
}

/** Answers a request. @throws {S3Error} to be sent to the client */
export type S3Handler<Kind extends Resource['kind'] = Resource['kind']> = (
  exchange: Exchange,
  request: S3Request<Kind>,
) => Promise<void> | void;

/** By operation; one that is missing is not implemented. The operation says of which kind the resource is. */
export type S3Handlers = { readonly [Name in Operation]?: S3Handler<never> };
