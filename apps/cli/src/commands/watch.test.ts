import { edgeHeartbeat } from '@sluice/contracts';
import { eventually, testBroker } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { CapturedIo } from '../captured-io.fixture.ts';
import { runProgram } from '../program.ts';

const REPORT = {
  id: 'us-1',
  instance: 'a',
  region: 'US',
  url: 'http://127.0.0.1:8081',
  catalogVersion: 0,
  objects: 0,
  bytes: 0,
  capacityBytes: 1,
  draining: false,
};

describe('watch', () => {
  test('shows what is published by hand, tells what cannot be read, and goes on over a broker that restarts', async () => {
    await using environment = await testBroker();
    const bus = await environment.connect();
    const io = new CapturedIo();
    const watching = runProgram(['watch', '--nats', environment.url], io);
    await eventually(() => expect(io.stderr.text).toContain('Ctrl-C ends it'));

    bus.connection.publish('content.uploaded', '{"key":"site/by-hand"}');
    bus.connection.publish('content.invalidated', 'no json');
    bus.publish(edgeHeartbeat('us-1'), REPORT);
    await io.stdoutHas('site/by-hand  (by hand: the origin will announce it)');
    await io.stdoutHas('edge us-1 (US) is here');
    expect(io.stderr.text).toContain('warning: a message on content.invalidated cannot be read');

    await environment.broker.kill();
    await eventually(() => expect(io.stderr.text).toContain('broker connection lost'));
    await environment.broker.start();
    await eventually(() => expect(io.stderr.text).toContain('broker connection restored'));
    await eventually(() => expect(bus.connected).toBe(true));
    bus.publish(edgeHeartbeat('us-1'), { ...REPORT, instance: 'b' });
    await io.stdoutHas('edge us-1 (US) started anew');
    bus.publish(edgeHeartbeat('us-1'), { ...REPORT, instance: 'b', draining: true });
    await io.stdoutHas('edge us-1 (US) says goodbye');
    io.interrupt();
    expect(await watching).toBe(0);
  }, 30_000);
});
