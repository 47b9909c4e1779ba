import { Registry } from '@sluice/runtime';
import { FakeClock, testBroker } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { S3Keys } from '../../domain/s3-entry.ts';
import type { SourceHint } from '../../services/source-port.ts';
import { createOriginMetrics } from '../metrics.ts';
import { takeS3Notifications } from './s3-notifications.ts';

const messageOf = (key: string, bucket = 'b'): string =>
  JSON.stringify({ Records: [{ eventName: 'ObjectCreated:Put', s3: { bucket: { name: bucket }, object: { key } } }] });

test('of two origins one takes each notification; what cannot be read is counted, told once a minute, and stops nothing', async () => {
  await using environment = await testBroker();
  const clock = new FakeClock();
  const metrics = createOriginMetrics(new Registry());
  const hints: SourceHint[] = [];
  const warnings: object[] = [];
  const buses = await Promise.all([environment.connect(), environment.connect()]);
  const ends = buses.map((bus) =>
    takeS3Notifications({
      bus,
      subject: 'bucket-events',
      queue: 'origins',
      scope: { bucket: 'b', keys: new S3Keys('site', '') },
      onHint: (hint) => hints.push(hint),
      clock,
      metrics,
      log: { warn: (fields: object) => warnings.push(fields) } as never,
    }),
  );
  const settled = () => Promise.all(buses.map((bus) => bus.flush()));
  await settled();
  const sender = await environment.connect();
  const send = async (...messages: string[]): Promise<void> => {
    for (const message of messages) sender.connection.publish('bucket-events', message);
    await sender.flush();
    await settled();
  };
  const keys = Array.from({ length: 50 }, (_, index) => `site/${index}`);
  await send(...Array.from({ length: 20 }, () => 'secret-text'), messageOf('a', 'other'), ...keys.map((key) => messageOf(key.slice(5))));
  expect(hints.map((hint) => 'key' in hint && hint.key).sort()).toEqual([...keys].sort());
  const counted = (await metrics.sourceNotifications.get()).values.map(({ labels, value }) => [labels.outcome, value]);
  expect(counted).toEqual([
    ['taken', 50],
    ['ignored', 1],
    ['invalid', 20],
  ]);
  // One of each origin.
  expect(warnings.length).toBeLessThanOrEqual(2);
  expect(JSON.stringify(warnings)).not.toContain('secret-text');

  const before = warnings.length;
  clock.advance(60_000);
  await send(...Array.from({ length: 20 }, () => '{}'));
  expect(warnings.length).toBeGreaterThan(before);
  expect(warnings.slice(before)).toContainEqual(
    expect.objectContaining({
      subject: 'bucket-events',
      reason: expect.stringContaining('neither Records nor'),
      messages: expect.any(Number),
    }),
  );

  for (const end of ends) end();
  await settled();
  await send(messageOf('late'));
  expect(hints).toHaveLength(50);
});
