/** What passes on the broker, a line each. */
import {
  type ContentDistributed,
  type ContentInvalidated,
  type ContentRejected,
  describeSelector,
  type Manifest,
  selectorOf,
} from '@sluice/contracts';
import type { WatchedEvent } from '../adapters/event-watch.ts';
import type { PresenceChange } from '../domain/presence.ts';
import { distributionSummary } from './distribution.ts';
import { bytes, visible } from './quantity.ts';
import type { Terminal } from './terminal.ts';

const KIND_COLOURS = {
  uploaded: 'cyan',
  invalidated: 'magenta',
  removed: 'magenta',
  distributed: 'green',
  rejected: 'red',
  present: 'blue',
  joined: 'blue',
  restarted: 'yellow',
  draining: 'yellow',
  left: 'yellow',
} as const;

/** `17:01:02.123  distributed  site/app.js: distributed to 3 edges in 84ms`; the time is UTC. */
export function eventLine(event: WatchedEvent, atMs: number, terminal: Pick<Terminal, 'style'>): string {
  const missed = event.kind === 'distributed' && !event.message.complete;
  const kind = terminal.style(missed ? 'red' : KIND_COLOURS[event.kind], event.kind.padEnd(11));
  return `${new Date(atMs).toISOString().slice(11, 23)}  ${kind}  ${visible(describe(event))}`;
}

function describe(event: WatchedEvent): string {
  switch (event.kind) {
    case 'uploaded': {
      const { key, version, manifest, id } = event.message;
      if (version === undefined) return `${key}  (by hand: the origin will announce it)`;
      return `${key}  version ${version}${manifest === undefined ? '' : `  ${sizes(manifest)}`}${idText(id)}`;
    }
    case 'invalidated':
      return describeInvalidation(event.message);
    case 'removed':
      return `${event.message.key}  version ${event.message.version}${idText(event.message.id)}`;
    case 'distributed':
      return describeDistribution(event.message);
    case 'rejected':
      return describeRejection(event.message);
    default:
      return describePresence(event);
  }
}

/** `546 kB (br 75 kB, gzip 97 kB)` */
function sizes({ size, variants = [] }: Manifest): string {
  if (variants.length === 0) return bytes(size);
  return `${bytes(size)} (${variants.map(({ coding, size: coded }) => `${coding} ${bytes(coded)}`).join(', ')})`;
}

function idText(id: string | undefined): string {
  return id === undefined ? '' : `  event ${id}`;
}

function describeInvalidation({ id, mode, version, ...selector }: ContentInvalidated): string {
  const what = `${describeSelector(selectorOf(selector))}  ${mode}`;
  return version === undefined ? `${what}  (by hand: the origin will announce it)` : `${what}  version ${version}${idText(id)}`;
}

function describeDistribution(message: ContentDistributed): string {
  const summary = distributionSummary({ ...message, status: 'distributed', pending: [] });
  const empty = message.emptyRegions.length === 0 ? '' : `; no live edge in ${message.emptyRegions.join(', ')}`;
  return `${message.subject}: ${summary}${empty}${idText(message.id)}`;
}

function describeRejection({ subject, reason, by }: ContentRejected): string {
  return `${subject}, by the ${by}: ${reason}`;
}

function describePresence({ kind, edge }: PresenceChange): string {
  const verbs = {
    present: 'is here',
    joined: 'joined',
    restarted: 'started anew',
    draining: 'says goodbye',
    left: 'has fallen silent',
  } as const;
  return `edge ${edge.id} (${edge.region}) ${verbs[kind]}: ${edge.url}`;
}
