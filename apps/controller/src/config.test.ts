import { ConfigError, readConfig } from '@sluice/runtime';
import { describe, expect, test } from 'vitest';
import { controllerVariables } from './config.ts';

const read = (environment: Record<string, string>) => readConfig(controllerVariables, environment, ['CONTROLLER_']);

describe('configuration', () => {
  test('nothing set is a working controller', () => {
    expect(read({})).toMatchObject({ CONTROLLER_HOST: '127.0.0.1', CONTROLLER_PORT: 9100, CONTROLLER_LEASE_MS: 5_000 });
  });

  test('every problem is named at once, a lease that one lost heartbeat would end among them', () => {
    const problems = (() => {
      try {
        read({ CONTROLLER_PORT: '70000', CONTROLLER_LEASE_MS: '1500', CONTROLLER_PROT: '1' });
        return [];
      } catch (error) {
        return (error as ConfigError).problems;
      }
    })();
    expect(problems.map((problem) => problem.split(':')[0])).toEqual(['CONTROLLER_PORT', 'CONTROLLER_LEASE_MS', 'CONTROLLER_PROT']);
    expect(() => read({ CONTROLLER_LEASE_MS: '1500' })).toThrow(ConfigError);
  });
});
