/** Every subject of Sluice with the schemas of what travels on it. The transport lives in `libs/bus`. */
import type { z } from 'zod';
import { catalogEntry } from './catalog-log.ts';
import { contentDistributed, contentInvalidated, contentRejected, contentRemoved, contentUploaded } from './content-events.ts';
import { edgeReport, registerReply } from './edge-presence.ts';
import { pushCommand, pushReply } from './edge-push.ts';
import { originReport } from './origin-presence.ts';
import { changesReply, changesRequest, fetchRequest, resolveReply } from './origin-requests.ts';

/** A subject on which one kind of message is published. */
export interface EventSubject<Schema extends z.ZodType = z.ZodType> {
  readonly subject: string;
  readonly message: Schema;
}
/** A subject on which requests of one kind are answered. `reply` has a failure branch `{ok:false, error}`. */
export interface RequestSubject<Request extends z.ZodType = z.ZodType, Reply extends z.ZodType = z.ZodType> {
  readonly subject: string;
  readonly request: Request;
  readonly reply: Reply;
}

export const CONTENT_UPLOADED = { subject: 'content.uploaded', message: contentUploaded } as const;
export const CONTENT_INVALIDATED = { subject: 'content.invalidated', message: contentInvalidated } as const;
export const CONTENT_REMOVED = { subject: 'content.removed', message: contentRemoved } as const;
export const CONTENT_DISTRIBUTED = { subject: 'content.distributed', message: contentDistributed } as const;
export const CONTENT_REJECTED = { subject: 'content.rejected', message: contentRejected } as const;

export const ORIGIN_FETCH = { subject: 'origin.fetch', request: fetchRequest, reply: resolveReply } as const;
export const ORIGIN_CHANGES = { subject: 'origin.changes', request: changesRequest, reply: changesReply } as const;

/** The subject on which one origin of several answers what the others do not hold themselves. */
export function originFetch(id: string) {
  return { subject: `origin.${id}.fetch`, request: fetchRequest, reply: resolveReply } as const;
}
/** The heartbeat subject of one origin; `*` for all of them. */
export function originHeartbeat(id: string) {
  return { subject: `origin.${id}.heartbeat`, message: originReport } as const;
}

/** The subject on which one edge registers; `*` for all of them. It names the edge, so that the broker can keep edges from speaking for each other. */
export function controllerRegister(id: string) {
  return { subject: `controller.register.${id}`, request: edgeReport, reply: registerReply } as const;
}
/** The push subject of one edge. */
export function edgePush(id: string) {
  return { subject: `edge.${id}.push`, request: pushCommand, reply: pushReply } as const;
}
/** The heartbeat subject of one edge; `*` for all of them. */
export function edgeHeartbeat(id: string) {
  return { subject: `edge.${id}.heartbeat`, message: edgeReport } as const;
}

/**
 * The JetStream streams. Limits bound the broker's disk; what they drop is repaired by the edges' catch-up, not by replay.
 */
export const STREAMS = {
  CONTENT: {
    name: 'CONTENT',
    subjects: [CONTENT_UPLOADED.subject, CONTENT_INVALIDATED.subject, CONTENT_REMOVED.subject],
    maxAgeMs: 7 * 24 * 3600 * 1000,
    maxBytes: 512 * 1024 * 1024,
    /** Longer than the origin's longest wait between two attempts to publish one event. */
    duplicateWindowMs: 2 * 60 * 1000,
  },
  OUTCOMES: {
    name: 'OUTCOMES',
    subjects: [CONTENT_DISTRIBUTED.subject, CONTENT_REJECTED.subject],
    maxAgeMs: 7 * 24 * 3600 * 1000,
    maxBytes: 256 * 1024 * 1024,
    duplicateWindowMs: 2 * 60 * 1000,
  },
} as const;

/** Names of the durable consumers on `CONTENT`: the controllers share one, and so do the origins. */
export const CONSUMERS = { controllers: 'controller', origins: 'origin-intake' } as const;

/**
 * Where replies go, by who asks: only that one may listen there. Whoever answers sends nothing to any other place, since the asker names it: a reply that came out as an
 * event or as a push would be believed for who sent it.
 */
export const INBOX_PREFIX = '_INBOX';
/** The inboxes of everyone with this role, `origin`; an edge has its own, `edge.us-1`. */
export function inboxOf(owner: string): string {
  return `${INBOX_PREFIX}.${owner}`;
}

/**
 * The log of a catalog that several origins share: a stream of the newest entry of each subject, in the order in which they were taken. The subjects name what an entry is about by a
 * digest of it, see `catalog-log.ts`. It is the only memory of the order, so nothing in it expires by itself.
 */
export const CATALOG_LOG = {
  name: 'CATALOG',
  subjectPrefix: 'origin.catalog',
  message: catalogEntry,
} as const;

/** Header of a reply on `origin.fetch` that carries raw bytes; its value is `bytes`. */
export const REPLY_KIND_HEADER = 'sluice-reply';

/** Header of a request whose asker wants to know that the reply is the origin's, and an answer to this very request: a value that was never used before. */
export const NONCE_HEADER = 'sluice-nonce';
/** Header of the reply to such a request: `<key id> <signature in base64>`, see `libs/signing`. */
export const SIGNATURE_HEADER = 'sluice-signature';
