import { S3Keys } from '../../domain/s3-entry.ts';
import { RevisionGoneError, SourceAwayError, type SourceObject, UnusableObjectError } from '../../services/source-port.ts';
import { S3Connection, type S3ConnectionOptions } from './s3-connection.ts';
import { bareError, reasonOf, type S3Action, saysArchived, saysGone } from './s3-failure.ts';

export interface S3BucketOptions extends S3ConnectionOptions {
  /** The bucket at the service. */
  readonly bucket: string;
  /** Only keys that begin with this are content, and are called without it: `www/`, with its slash. Default: all. */
  readonly prefix?: string | undefined;
  /** The bucket as Sluice calls it, the first segment of the content keys. Default: as the service does. */
  readonly name?: string | undefined;
}

/** A bucket at its service: how its keys are called as content, how it is asked, and what it means when that fails. */
export class S3Bucket {
  readonly name: string;
  readonly title: string;
  readonly keys: S3Keys;
  readonly connection: S3Connection;
  /** Whether a time that the service has told has shown that it knows more than seconds. */
  tellsMilliseconds = false;

  constructor(options: S3BucketOptions) {
    const { bucket, prefix = '', name = bucket, endpoint, region } = options;
    this.name = bucket;
    this.keys = new S3Keys(name, prefix);
    this.connection = new S3Connection(options);
    // An endpoint may have a password in it.
    const place = endpoint === undefined ? `Amazon S3 in ${region}` : new URL(endpoint).origin;
    this.title = `bucket ${bucket}${prefix === '' ? '' : ` from ${prefix} on`} at ${place}`;
  }

  /** @throws {RevisionGoneError | UnusableObjectError} when asked about an object; {SourceAwayError} */
  async ask<Output>(
    action: S3Action,
    object: SourceObject | undefined,
    send: (connection: S3Connection) => Promise<Output>,
  ): Promise<Output> {
    try {
      return await send(this.connection);
    } catch (error) {
      if (object !== undefined && saysGone(error)) throw new RevisionGoneError(object, bareError(error));
      if (object !== undefined && saysArchived(error)) {
        throw new UnusableObjectError(
          object,
          'it is archived; restore it, or keep it in a class that can be read at once',
          bareError(error),
        );
      }
      throw this.away(reasonOf(error, action), bareError(error));
    }
  }

  away(reason: string, cause?: unknown): SourceAwayError {
    return new SourceAwayError(this.title, reason, cause);
  }
}
