/** What a message on `content.*` asks of the origin. */
import {
  CONTENT_INVALIDATED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  decode,
  type InvalidationMode,
  InvalidMessageError,
  type Selector,
  selectorOf,
} from '@sluice/contracts';

export type ContentRequest =
  /** It has a version: an announcement, the controllers' business. */
  | { readonly kind: 'announcement' }
  | { readonly kind: 'announce'; readonly key: string; readonly id: string | undefined }
  | { readonly kind: 'invalidate'; readonly selector: Selector; readonly mode: InvalidationMode; readonly id: string | undefined }
  | { readonly kind: 'invalid'; readonly reason: string };

/** Reads one stored message; never throws for what came. */
export function readContentRequest(subject: string, data: Uint8Array): ContentRequest {
  try {
    if (subject === CONTENT_UPLOADED.subject) {
      const event = decode(subject, CONTENT_UPLOADED.message, data);
      return event.version === undefined ? { kind: 'announce', key: event.key, id: event.id } : { kind: 'announcement' };
    }
    if (subject === CONTENT_INVALIDATED.subject) {
      const event = decode(subject, CONTENT_INVALIDATED.message, data);
      if (event.version !== undefined) return { kind: 'announcement' };
      return { kind: 'invalidate', selector: selectorOf(event), mode: event.mode, id: event.id };
    }
    decode(subject, CONTENT_REMOVED.message, data);
    return { kind: 'announcement' };
  } catch (error) {
    if (error instanceof InvalidMessageError) return { kind: 'invalid', reason: error.message };
    throw error;
  }
}
