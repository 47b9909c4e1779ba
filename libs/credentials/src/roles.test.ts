/** What each role may not do, tried at a real broker. That it may do all that it must is tried by the secured stack. */
import { SharedLog, Streams } from '@sluice/bus';
import { CATALOG_LOG, CONTENT_REMOVED, CONTENT_UPLOADED, ORIGIN_FETCH } from '@sluice/contracts';
import { eventually, silentLog } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, SecuredBroker } from './secured-broker.fixture.ts';

let broker: SecuredBroker;
let administrator: Client;
beforeAll(async () => {
  broker = await SecuredBroker.start();
  administrator = await broker.connect('administrator');
  const origin = await broker.connect('origin');
  await new Streams(origin.bus, silentLog).ensure();
});
afterAll(() => broker[Symbol.asyncDispose]());

/** What was refused of all this. The broker refuses in order, so all of it is known when what nobody may has been refused. */
async function refusedOf(name: string, { publish = [], subscribe = [] }: { publish?: string[]; subscribe?: string[] }): Promise<string[]> {
  const { bus, refused } = await broker.connect(name);
  for (const subject of publish) bus.connection.publish(subject, '{}');
  for (const subject of subscribe) bus.connection.subscribe(subject, { callback: () => {} });
  bus.connection.publish('nobody.may');
  await eventually(() => expect(refused.at(-1)).toBe('publish nobody.may'));
  return refused.slice(0, -1);
}
const all = (operation: string, subjects: readonly string[]): string[] => subjects.map((subject) => `${operation} ${subject}`);

/** Nobody but the parts' own work is to touch streams or what others say. */
const EVENTS = ['content.uploaded', 'content.invalidated', 'content.removed', 'content.distributed', 'content.rejected'];
const STREAM_COMMANDS = ['CREATE', 'UPDATE', 'DELETE', 'PURGE', 'MSG.GET', 'MSG.DELETE'].map((api) => `$JS.API.STREAM.${api}.CONTENT`);
const CONSUMER_COMMANDS = ['CONTENT.controller', 'CONTENT.origin-intake'].flatMap((consumer) => [
  `$JS.API.CONSUMER.MSG.NEXT.${consumer}`,
  `$JS.API.CONSUMER.DELETE.${consumer}`,
  `$JS.API.CONSUMER.CREATE.${consumer}`,
  `$JS.ACK.${consumer}.1.1.1.1.0`,
]);
const EVERYTHING = ['>', '*.>', '_INBOX.>', '$JS.>', '$SYS.>'];

interface Case {
  readonly user: string;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}
const MUST_NOT: Case[] = [
  {
    user: 'us-1',
    publish: [
      ...EVENTS,
      ...STREAM_COMMANDS,
      ...CONSUMER_COMMANDS,
      ...['edge.us-1.push', 'edge.eu-1.push', 'edge.eu-1.heartbeat', 'controller.register.eu-1', 'controller.register'],
      ...[
        'origin.a.fetch',
        'origin.a.heartbeat',
        'origin.catalog.x',
        'bucket.events',
        '_INBOX.controller.a',
        '_INBOX.edge.eu-1.a',
        '_INBOX.a',
      ],
    ],
    subscribe: [
      ...EVERYTHING,
      ...['edge.*.push', 'edge.eu-1.push', 'edge.>', 'edge.us-1.*', 'edge.*.heartbeat', 'content.>', 'content.uploaded'],
      ...[
        'origin.fetch',
        'origin.changes',
        'origin.>',
        'controller.register.us-1',
        'controller.>',
        '_INBOX.edge.eu-1.>',
        '_INBOX.edge.>',
        '_INBOX.*.>',
      ],
    ],
  },
  {
    user: 'publisher',
    publish: [
      ...['content.removed', 'content.distributed', 'content.rejected', 'edge.us-1.push', 'edge.us-1.heartbeat'],
      ...['controller.register.us-1', 'origin.fetch', 'origin.changes', 'origin.catalog.x', '_INBOX.edge.us-1.a'],
      ...STREAM_COMMANDS,
      ...CONSUMER_COMMANDS,
    ],
    subscribe: [...EVERYTHING, 'content.>', 'content.uploaded', 'edge.us-1.push', 'edge.*.heartbeat', 'origin.fetch', '_INBOX.origin.>'],
  },
  {
    user: 'console',
    publish: [
      ...EVENTS,
      ...STREAM_COMMANDS,
      ...CONSUMER_COMMANDS,
      'edge.us-1.push',
      'origin.fetch',
      'controller.register.us-1',
      'anything',
    ],
    subscribe: [
      ...EVERYTHING,
      'edge.us-1.push',
      'edge.*.push',
      'edge.>',
      'origin.fetch',
      'origin.catalog.>',
      'controller.>',
      '_INBOX.edge.us-1.>',
    ],
  },
  {
    user: 'controller',
    publish: [
      ...['content.uploaded', 'content.invalidated', 'content.removed', 'origin.changes', 'origin.a.fetch', 'origin.catalog.x'],
      ...[
        '$JS.API.STREAM.DELETE.CONTENT',
        '$JS.API.STREAM.PURGE.CONTENT',
        '$JS.API.CONSUMER.MSG.NEXT.CONTENT.origin-intake',
        '_INBOX.origin.a',
      ],
    ],
    subscribe: [
      ...EVERYTHING,
      'edge.*.push',
      'edge.>',
      'origin.fetch',
      'origin.changes',
      'origin.>',
      '_INBOX.origin.>',
      '_INBOX.edge.us-1.>',
    ],
  },
  {
    user: 'origin',
    publish: [
      ...['content.distributed', 'edge.us-1.push', 'edge.us-1.heartbeat', 'controller.register.us-1', '_INBOX.edge.us-1.a'],
      ...['$JS.API.STREAM.DELETE.CONTENT', '$JS.API.STREAM.PURGE.CONTENT', '$JS.API.CONSUMER.MSG.NEXT.CONTENT.controller'],
    ],
    subscribe: [...EVERYTHING, 'edge.*.push', 'edge.*.heartbeat', 'controller.>', '_INBOX.edge.us-1.>', '_INBOX.controller.>'],
  },
  { user: 'notifier', publish: [...EVENTS, 'origin.fetch', '$JS.API.INFO'], subscribe: [...EVERYTHING, 'bucket.events', 'content.>'] },
];

describe('at a broker that knows its users', () => {
  test.each(MUST_NOT)('$user may not', async ({ user, publish, subscribe }) => {
    const heard: string[] = [];
    const watching = administrator.bus.connection.subscribe('>', { callback: (_error, { subject }) => void heard.push(subject) });
    await administrator.bus.flush();
    expect(await refusedOf(user, { publish: [...publish], subscribe: [...subscribe] })).toEqual([
      ...all('publish', publish),
      ...all('subscription', subscribe),
    ]);
    await administrator.bus.flush();
    watching.unsubscribe();
    expect(heard.filter((subject) => !subject.startsWith('_INBOX') && !subject.startsWith('$SYS'))).toEqual([]);
  });

  test.each([
    {
      user: 'us-1',
      publish: ['edge.us-1.heartbeat', 'controller.register.us-1', 'origin.fetch', 'origin.changes'],
      subscribe: ['edge.us-1.push', '_INBOX.edge.us-1.>'],
    },
    { user: 'publisher', publish: ['content.uploaded', 'content.invalidated'], subscribe: ['_INBOX.publisher.>'] },
    { user: 'console', publish: [], subscribe: ['content.>', 'content.distributed', 'edge.*.heartbeat', 'origin.*.heartbeat'] },
    { user: 'notifier', publish: ['bucket.events'], subscribe: [] },
    { user: 'origin', publish: ['content.removed', 'origin.catalog.x'], subscribe: ['origin.fetch', 'origin.changes', 'bucket.events'] },
    { user: 'controller', publish: ['edge.us-1.push', 'content.distributed'], subscribe: ['controller.register.*', 'edge.*.heartbeat'] },
  ])('$user may', async ({ user, publish, subscribe }) => {
    expect(await refusedOf(user, { publish, subscribe })).toEqual([]);
  });

  test('a publisher is told by the stream that its event is stored, and of nothing that the stream holds', async () => {
    const { bus, refused } = await broker.connect('publisher');
    const streams = new Streams(bus, silentLog);
    await streams.publish(CONTENT_UPLOADED, { key: 'site/a' }, 'by-hand-1');
    await expect(
      streams.publish(CONTENT_REMOVED, { id: 'x', key: 'site/a', version: 1, regions: [] } as never, 'by-hand-2'),
    ).rejects.toThrow();
    await expect(streams.ensure()).rejects.toThrow();
    expect(refused.length).toBeGreaterThan(0);
  });

  test('an origin may do all that a shared catalog takes', async () => {
    const { bus, refused } = await broker.connect('origin');
    const log = new SharedLog(bus, silentLog, CATALOG_LOG);
    await log.ensure();
    await log.ensure();
    expect(await log.append('a', new Uint8Array([1]), 0, { id: 'one' })).toBe(1);
    expect(await log.append('b', new Uint8Array([2]), 0)).toBeUndefined();
    expect(await log.append('b', new Uint8Array([2]), 1)).toBe(2);
    const read: number[] = [];
    const following = log.follow({
      position: () => 0,
      onEntry: async ({ position }) => void read.push(position),
      caughtUp: async () => {},
      check: async () => {},
    });
    await eventually(() => expect(read).toEqual([1, 2]));
    await following.stop();
    expect(await log.newest('a')).toMatchObject({ position: 1 });
    await log.drop('a', 1);
    await log.dropAll(2);
    expect(await log.last()).toBe(2);
    expect(refused).toEqual([]);
  });

  test('who answers a request may reply once to who asked, and to nobody else', async () => {
    const origin = await broker.connect('origin');
    const edge = await broker.connect('us-1');
    const heard: string[] = [];
    const replies: string[] = [];
    administrator.bus.connection.subscribe('edge.eu-1.push', { callback: (_error, { subject }) => void heard.push(subject) });
    await administrator.bus.flush();
    origin.bus.serve(ORIGIN_FETCH, () => new TextEncoder().encode('{"all":true}'));
    await origin.bus.flush();
    await edge.bus.requestBytes(ORIGIN_FETCH, { op: 'read', sha256: 'a'.repeat(64), offset: 0, length: 1 }, { timeoutMs: 5_000 });
    // An edge that names another one's push as the place of the reply would have the origin push for it.
    edge.bus.connection.publish('origin.fetch', '{"op":"resolve","key":"site/a"}', { reply: 'edge.eu-1.push' });
    edge.bus.connection.subscribe('_INBOX.edge.us-1.own', { callback: (_error, { subject }) => void replies.push(subject) });
    edge.bus.connection.publish('origin.fetch', '{"op":"resolve","key":"site/a"}', { reply: '_INBOX.edge.us-1.own' });
    await eventually(() => expect(replies).toEqual(['_INBOX.edge.us-1.own']));
    await administrator.bus.flush();
    expect(heard).toEqual([]);
  });
});
