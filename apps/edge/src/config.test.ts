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
    [{ EDGE_ACCESS_LOG: 'apache' }, /^EDGE_ACCESS_LOG: must be off, combined or json$/],
    [{ EDGE_ACCESS_LOG_FILE: '/var/log/a' }, /^EDGE_ACCESS_LOG_FILE: is without effect while EDGE_ACCESS_LOG is off/],
    [{ EDGE_PROXY_PROTOCOL: 'on' }, /^EDGE_PROXY_PROTOCOL: needs EDGE_TRUSTED_PROXIES/],
    [{ EDGE_PROXY_PROTOCOL: 'yes', EDGE_TRUSTED_PROXIES: 'loopback' }, /^EDGE_PROXY_PROTOCOL: must be off or on$/],
    [{ EDGE_TRUSTED_PROXIES: '10.0.0.0/33' }, /^EDGE_TRUSTED_PROXIES: "10.0.0.0\/33" is no address range: write 10.0.0.0\/8/],
  ])('%j is refused with what to write', (wrong, problem) => {
    expect(() => readConfig(edgeVariables, wrong, ['EDGE_'])).toThrow(
      expect.objectContaining({ problems: [expect.stringMatching(problem)] }),
    );
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
