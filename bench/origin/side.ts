import type { Endpoint } from './requests.ts';

/** A server with the S3 API, and the processes that it is made of. */
export interface Side extends Endpoint, AsyncDisposable {
  readonly name: string;
  /** All that work for an answer. */
  readonly pids: readonly number[];
}
