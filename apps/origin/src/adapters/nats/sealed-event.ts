import { CONTENT_INVALIDATED, decode, encode, type Signature, selectorOf } from '@sluice/contracts';
import type { Statement } from '@sluice/signing';

/**
 * An event of the outbox as it goes out. Of an invalidation the edges are sent what the event says, so it carries the signature that they want to see; what became of a key controllers ask
 * for, and get it signed then.
 */
export function sealedEvent(
  { subject, payload }: { readonly subject: string; readonly payload: Uint8Array },
  sign: (statement: Statement) => Signature | undefined,
): Uint8Array {
  if (subject !== CONTENT_INVALIDATED.subject) return payload;
  const event = decode(subject, CONTENT_INVALIDATED.message, payload);
  const { version, mode } = event;
  const signature = version === undefined ? undefined : sign({ kind: 'invalidation', selector: selectorOf(event), version, mode });
  return signature === undefined ? payload : encode(subject, CONTENT_INVALIDATED.message, { ...event, signature });
}
