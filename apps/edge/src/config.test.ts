import { hostname } from 'node:os';
import { type ConfigError, httpUrl, readConfig } from '@sluice/runtime';
import { describe, expect, test } from 'vitest';
import { edgeVariables } from './config.ts';

describe('configuration of an edge', () => {
  test('nothing set gives the documented defaults', () => {
    expect(readConfig(edgeVariables, {}, ['EDGE_'])).toMatchObject({
      NATS_URL: ['nats://127.0.0.1:4222'],
      EDGE_REGION: 'US',
      EDGE_HOST: '127.0.0.1',
      EDGE_PORT: 8080,
      EDGE_CAPACITY_BYTES: 10 * 1024 ** 3,
    });
  });

  test('every problem is told at once, with the variable and what to write', () => {
    const wrong = { EDGE_ID: 'a.b', EDGE_PORT: '99999', EDGE_CAPACITY_BYTES: 'much', EDGE_REGOIN: 'US' };
    const problems = (() => {
      try {
        return readConfig(edgeVariables, wrong, ['EDGE_']);
      } catch (error) {
        return (error as ConfigError).problems;
      }
    })();
    expect(problems).toEqual([
      expect.stringMatching(/^EDGE_ID: must be 1 to 64 characters/),
      expect.stringMatching(/^EDGE_PORT: must be a port number/),
      expect.stringMatching(/^EDGE_CAPACITY_BYTES: must be a number of bytes/),
      expect.stringMatching(/^EDGE_REGOIN: no such variable/),
    ]);
  });

  test.each([
    ['127.0.0.1', 'http://127.0.0.1:80'],
    ['0.0.0.0', `http://${hostname()}:80`],
    ['::', `http://${hostname()}:80`],
    ['::1', 'http://[::1]:80'],
  ])('an edge that listens on %s is reached at %s', (host, url) => {
    expect(httpUrl(host, 80)).toBe(url);
  });
});
