/** The one table of who may do what on the broker. What is not in it is refused. */
import {
  CATALOG_LOG,
  CONSUMERS,
  CONTENT_DISTRIBUTED,
  CONTENT_INVALIDATED,
  CONTENT_REJECTED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  controllerRegister,
  edgeHeartbeat,
  edgePush,
  inboxOf,
  ORIGIN_CHANGES,
  ORIGIN_FETCH,
  originFetch,
  originHeartbeat,
  STREAMS,
} from '@sluice/contracts';

/** Who connects to the broker. An edge is a user of its own; of the others all that have the role are one user. */
export type Role =
  | { readonly role: 'origin' | 'controller' | 'publisher' | 'console' | 'administrator' }
  | { readonly role: 'edge'; readonly id: string }
  /** An S3 service, or a bridge from it, that tells origins on its bucket of changes. */
  | { readonly role: 'notifier' };

export interface Permissions {
  /** Subjects, which may have wildcards. None: nothing at all. */
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Whether it may send one reply to each request that it gets, wherever that is to go. */
  readonly replies: boolean;
}

export interface User {
  /** As people call it: `origin`, `edge us-1`. */
  readonly name: string;
  /** Of its nkey, `U…`. */
  readonly publicKey: string;
  readonly permissions: Permissions;
}

const ENSURE_STREAMS = [
  '$JS.API.INFO',
  ...Object.values(STREAMS).flatMap(({ name }) => [
    `$JS.API.STREAM.CREATE.${name}`,
    `$JS.API.STREAM.UPDATE.${name}`,
    `$JS.API.STREAM.INFO.${name}`,
  ]),
];

/** To read a stream by a durable consumer that others of the same role share. */
function sharedConsumer(stream: string, consumer: string): string[] {
  return [
    `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
    `$JS.API.CONSUMER.CREATE.${stream}.${consumer}`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.${consumer}`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
    `$JS.ACK.${stream}.${consumer}.>`,
    // With domain and account before the stream (NATS ADR-15).
    `$JS.ACK.*.*.${stream}.${consumer}.>`,
  ];
}

/** To read a stream by consumers that come and go under names of chance. */
function ownConsumers(stream: string): string[] {
  return [
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.*`,
    `$JS.API.CONSUMER.DELETE.${stream}.*`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  ];
}

/** `notifications`: the subject on which an S3 service tells of changes; undefined when none does. */
export function permissionsOf(who: Role, notifications?: string): Permissions {
  switch (who.role) {
    case 'origin':
      return {
        publish: [
          ...subjects(CONTENT_UPLOADED, CONTENT_INVALIDATED, CONTENT_REMOVED, CONTENT_REJECTED, originFetch('*'), originHeartbeat('*')),
          `${CATALOG_LOG.subjectPrefix}.*`,
          ...ENSURE_STREAMS,
          ...sharedConsumer(STREAMS.CONTENT.name, CONSUMERS.origins),
          ...['STREAM.CREATE', 'STREAM.UPDATE', 'STREAM.INFO', 'STREAM.PURGE', 'STREAM.MSG.GET'].map(
            (api) => `$JS.API.${api}.${CATALOG_LOG.name}`,
          ),
          ...ownConsumers(CATALOG_LOG.name),
        ],
        subscribe: [
          ...subjects(ORIGIN_FETCH, ORIGIN_CHANGES, originFetch('*'), originHeartbeat('*')),
          ...(notifications === undefined ? [] : [notifications]),
          inboxesOf('origin'),
        ],
        replies: true,
      };
    case 'controller':
      return {
        publish: [
          ...subjects(edgePush('*'), edgeHeartbeat('*'), ORIGIN_FETCH, CONTENT_DISTRIBUTED, CONTENT_REJECTED),
          ...ENSURE_STREAMS,
          ...sharedConsumer(STREAMS.CONTENT.name, CONSUMERS.controllers),
          ...ownConsumers(STREAMS.OUTCOMES.name),
        ],
        subscribe: [...subjects(controllerRegister('*'), edgeHeartbeat('*'), CONTENT_DISTRIBUTED), inboxesOf('controller')],
        replies: true,
      };
    case 'edge':
      return {
        publish: subjects(edgeHeartbeat(who.id), controllerRegister(who.id), ORIGIN_FETCH, ORIGIN_CHANGES),
        subscribe: [...subjects(edgePush(who.id)), inboxesOf(`edge.${who.id}`)],
        replies: true,
      };
    case 'publisher':
      // The inbox is for the stream's acknowledgement.
      return { publish: subjects(CONTENT_UPLOADED, CONTENT_INVALIDATED), subscribe: [inboxesOf('publisher')], replies: false };
    case 'console':
      return { publish: [], subscribe: ['content.>', ...subjects(edgeHeartbeat('*'), originHeartbeat('*'))], replies: false };
    case 'administrator':
      return { publish: ['>'], subscribe: ['>'], replies: false };
    case 'notifier':
      return { publish: notifications === undefined ? [] : [notifications], subscribe: [inboxesOf('notifier')], replies: false };
  }
}

function subjects(...all: readonly { readonly subject: string }[]): string[] {
  return all.map(({ subject }) => subject);
}

function inboxesOf(owner: string): string {
  return `${inboxOf(owner)}.>`;
}
