/** Reads what comes on the stream `CONTENT`. An event is only a wake-up: the state of a key is asked from the origin. */
import {
  CONTENT_INVALIDATED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  type ContentInvalidated,
  type ContentRemoved,
  type ContentUploaded,
  decode,
  type InvalidationMode,
  type Selector,
  type Signature,
  selectorOf,
} from '@sluice/contracts';

/** A key may have changed: read its state at the origin and distribute that. */
export interface KeyEvent {
  readonly kind: 'uploaded' | 'removed';
  readonly id: string;
  readonly key: string;
  readonly version: number;
  /** Asked for by hand: push it again, also to edges that have confirmed this version. */
  readonly again: boolean;
  readonly at: string | undefined;
}

/** What the selector covers is stale, up to `version`. */
export interface InvalidationEvent {
  readonly kind: 'invalidated';
  readonly id: string;
  readonly selector: Selector;
  readonly mode: InvalidationMode;
  readonly version: number;
  readonly at: string | undefined;
  /** The origin's, from one that signs: what an edge believes. */
  readonly signature?: Signature | undefined;
}

export type ContentEvent = KeyEvent | InvalidationEvent;

/**
 * `event`: distribute it. `ignored`: not the controller's (unparsable and raw events are the origin's, which reads the same stream).
 * `rejected`: nobody can use it, and the sender should hear why.
 */
export type Reading =
  | { readonly kind: 'event'; readonly event: ContentEvent }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'rejected'; readonly reason: string };

const IGNORED: Reading = { kind: 'ignored' };
const NO_ID: Reading = {
  kind: 'rejected',
  reason: 'id: an event with a "version" comes from the origin and has its "id"; leave out "version" to have the origin announce it',
};

/** What one message of the stream means for the controller. Never throws. */
export function readContentEvent(subject: string, data: Uint8Array): Reading {
  try {
    switch (subject) {
      case CONTENT_UPLOADED.subject:
        return readUploaded(decode(subject, CONTENT_UPLOADED.message, data));
      case CONTENT_INVALIDATED.subject:
        return readInvalidated(decode(subject, CONTENT_INVALIDATED.message, data));
      case CONTENT_REMOVED.subject:
        return readRemoved(decode(subject, CONTENT_REMOVED.message, data));
      default:
        return IGNORED;
    }
  } catch {
    return IGNORED;
  }
}

function readUploaded({ id, key, version, cause, at }: ContentUploaded): Reading {
  if (version === undefined) return IGNORED;
  if (id === undefined) return NO_ID;
  return { kind: 'event', event: { kind: 'uploaded', id, key, version, again: cause !== undefined, at } };
}

function readRemoved({ id, key, version, at }: ContentRemoved): Reading {
  return { kind: 'event', event: { kind: 'removed', id, key, version, again: false, at } };
}

function readInvalidated(message: ContentInvalidated): Reading {
  const { id, version, mode, at, signature } = message;
  if (version === undefined) return IGNORED;
  if (id === undefined) return NO_ID;
  return { kind: 'event', event: { kind: 'invalidated', id, selector: selectorOf(message), mode, version, at, signature } };
}
