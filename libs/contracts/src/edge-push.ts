/**
 * `edge.<id>.push` — controller → edge, request and reply. The reply is the acknowledgement. `signature` is the origin's, of what a command says and not of the command: an edge that was given the
 * origin's public keys carries out nothing without it.
 */
import { z } from 'zod';
import { transferKind } from './content-events.ts';
import { failure } from './errors.ts';
import { manifest } from './manifest.ts';
import { invalidationMode, withSelector } from './selector.ts';
import { signature } from './signature.ts';
import { byteCount, contentKey, eventId, inlineContent, sha256, version } from './values.ts';

/** How the planner thinks the bytes should come; small ones may come along. A hint: the edge that lacks the base takes the whole, the one that holds the bytes takes nothing. */
export const transferPlan = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('same') }),
  z.object({ kind: z.literal('delta'), base: sha256 }),
  z.object({ kind: z.literal('full'), content: inlineContent.optional() }),
]);
export type TransferPlan = z.output<typeof transferPlan>;

/** Hold this version. The edge makes the bytes durable, commits the manifest, then replies. An older or equal version changes nothing. */
const store = z.object({ op: z.literal('store'), eventId, manifest, transfer: transferPlan, signature: signature.optional() });
/**
 * Forget the key up to `version`: it was deleted, or its regions no longer include this edge's. What is signed is that it was deleted, or the manifest of that version, which says where it is; then
 * `manifest` is there.
 */
const remove = z.object({
  op: z.literal('remove'),
  eventId,
  key: contentKey,
  version,
  reason: z.enum(['deleted', 'region']),
  manifest: manifest.optional(),
  signature: signature.optional(),
});
/** Ask the origin before serving what the selector covers, in versions up to `version`. */
const invalidate = withSelector({
  op: z.literal('invalidate'),
  eventId,
  version,
  mode: invalidationMode,
  signature: signature.optional(),
});

export const pushCommand = z.discriminatedUnion('op', [store, remove, invalidate]);
export type PushCommand = z.output<typeof pushCommand>;
export type StoreCommand = z.output<typeof store>;
export type RemoveCommand = z.output<typeof remove>;
export type InvalidateCommand = z.output<typeof invalidate>;

/** The edge's answer; the fields are those of the edge's outcome in `content.distributed`. */
export const pushReply = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    outcome: z.enum(['stored', 'metadata', 'current', 'removed', 'invalidated']),
    transfer: transferKind.optional(),
    bytes: byteCount,
  }),
  failure,
]);
export type PushReply = z.output<typeof pushReply>;
