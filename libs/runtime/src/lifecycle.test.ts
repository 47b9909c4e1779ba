import { describe, expect, test } from 'vitest';
import { createLogger, Lifecycle } from './mod.ts';

const log = createLogger('test', 'silent');

describe('lifecycle', () => {
  test('what was started last is stopped first, one after the other', async () => {
    const lifecycle = new Lifecycle(log);
    const order: string[] = [];
    for (const name of ['store', 'bus', 'http']) {
      lifecycle.onStop(name, async () => {
        order.push(`${name} stops in ${lifecycle.state}`);
        await new Promise((resolve) => setImmediate(resolve));
        order.push(`${name} stopped`);
      });
    }
    expect(lifecycle.state).toBe('running');
    expect(await lifecycle.stop('test')).toBe('stopped');
    expect(order).toEqual(['http', 'bus', 'store'].flatMap((name) => [`${name} stops in draining`, `${name} stopped`]));
    expect(lifecycle.state).toBe('stopped');
  });

  test('a step that fails, at once or later, does not keep the next one from running, and the end is a failure', async () => {
    const lifecycle = new Lifecycle(log);
    const ran: string[] = [];
    lifecycle.onStop('store', () => void ran.push('store'));
    lifecycle.onStop('bus', () => Promise.reject(new Error('later')));
    lifecycle.onStop('http', () => {
      throw new Error('at once');
    });
    expect(await lifecycle.stop('test')).toBe('failed');
    expect(ran).toEqual(['store']);
  });

  test('all steps together have one deadline; when it passes the rest is given up', async () => {
    const lifecycle = new Lifecycle(log, { deadlineMs: 50 });
    const ran: string[] = [];
    lifecycle.onStop('never', () => void ran.push('never'));
    lifecycle.onStop('hangs', () => new Promise(() => {}));
    lifecycle.onStop('first', () => void ran.push('first'));
    expect(await lifecycle.stop('test')).toBe('failed');
    expect(ran).toEqual(['first']);
  });

  test('with a notice it says that it stops, and nothing is stopped before the notice is over', async () => {
    const noticeMs = 200;
    const lifecycle = new Lifecycle(log, { noticeMs });
    let stoppedMs = 0;
    const beganMs = performance.now();
    lifecycle.onStop('http', () => {
      stoppedMs = performance.now() - beganMs;
    });
    const stopping = lifecycle.stop('test');
    expect(lifecycle.state).toBe('draining');
    // What comes while it is noticed belongs to what is stopped then.
    const late: string[] = [];
    lifecycle.onStop('late', () => void late.push('late'));
    expect(await stopping).toBe('stopped');
    expect(stoppedMs).toBeGreaterThanOrEqual(noticeMs - 1);
    expect(late).toEqual(['late']);
  });

  test('stopping again joins the first stop', async () => {
    const lifecycle = new Lifecycle(log);
    let stops = 0;
    lifecycle.onStop('once', () => {
      stops += 1;
    });
    expect(await Promise.all([lifecycle.stop('a'), lifecycle.stop('b')])).toEqual(['stopped', 'stopped']);
    expect(await lifecycle.stop('c')).toBe('stopped');
    expect(stops).toBe(1);
  });

  test('what comes up only after the end has begun is undone at once', async () => {
    const lifecycle = new Lifecycle(log);
    await lifecycle.stop('test');
    const undone = new Promise<void>((resolve) => lifecycle.onStop('late', resolve));
    await undone;
  });
});
