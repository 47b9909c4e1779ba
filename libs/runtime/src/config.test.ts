import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { PROBLEM_MAX_CHARACTERS, PROBLEMS_TOLD_MAX } from './config.ts';
import { bytesVariable, ConfigError, commonVariables, integerVariable, portVariable, readConfig } from './mod.ts';

const SCHEMA = z.strictObject({
  ...commonVariables,
  EDGE_PORT: portVariable.default(8080),
  EDGE_CAPACITY_BYTES: bytesVariable.default(1),
  EDGE_LIMIT: integerVariable(1, 10).default(5),
});
const read = (environment: Record<string, string | undefined>) => readConfig(SCHEMA, environment, ['EDGE_']);

function problemsOf(environment: Record<string, string | undefined>): readonly string[] {
  try {
    read(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
  return [];
}

describe('config', () => {
  test(`of many problems ${PROBLEMS_TOLD_MAX} are told and the rest counted, each of at most ${PROBLEM_MAX_CHARACTERS} characters`, () => {
    const error = new ConfigError(Array(PROBLEMS_TOLD_MAX + 7).fill('\u{1f600}'.repeat(PROBLEM_MAX_CHARACTERS)));
    expect(error.problems).toHaveLength(PROBLEMS_TOLD_MAX + 1);
    expect(error.problems.at(-1)).toBe('and 7 more');
    expect(error.problems[0]).toHaveLength(PROBLEM_MAX_CHARACTERS);
    expect(error.message).toMatch(/^the configuration has 57 problems:\n/);
    expect(new ConfigError(['\u{1f600}'.repeat(1 + PROBLEM_MAX_CHARACTERS / 2).slice(1)]).message.isWellFormed()).toBe(true);
    expect(new ConfigError(Array(PROBLEMS_TOLD_MAX).fill('a: b')).problems).toHaveLength(PROBLEMS_TOLD_MAX);
  });

  test('an empty environment gives the defaults, frozen; an empty variable is one that is not set', () => {
    const config = read({ EDGE_PORT: '', LOG_LEVEL: '', PATH: '/bin', ORIGIN_PORT: 'of another app' });
    expect(config).toEqual({
      NATS_URL: ['nats://127.0.0.1:4222'],
      NATS_STREAM_REPLICAS: 1,
      LOG_LEVEL: 'info',
      EDGE_PORT: 8080,
      EDGE_CAPACITY_BYTES: 1,
      EDGE_LIMIT: 5,
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  test('every problem is told at once, by the name of its variable', () => {
    const problems = problemsOf({ EDGE_PORT: '70000', EDGE_CAPACITY_BYTES: 'much', EDGE_LIMIT: '0', LOG_LEVEL: 'loud', NATS_URL: ' , ' });
    expect(problems.map((problem) => problem.split(':')[0]).sort()).toEqual([
      'EDGE_CAPACITY_BYTES',
      'EDGE_LIMIT',
      'EDGE_PORT',
      'LOG_LEVEL',
      'NATS_URL',
    ]);
    expect(new ConfigError(problems).message).toMatch(/^the configuration has 5 problems:\n( {2}\S.*\n?){5}$/);
  });

  test("a variable with the app's prefix that does not exist is a typing error, told together with what exists and all else", () => {
    const problems = problemsOf({ EDGE_PROT: '8080', EDGE_LIMIT: '11' });
    expect(problems).toHaveLength(2);
    expect(problems[0]).toBe('EDGE_LIMIT: must be a whole number from 1 to 10');
    expect(problems[1]).toMatch(/^EDGE_PROT: no such variable; known are .*EDGE_PORT/);
  });

  test.each([
    ['0', 0],
    ['1073741824', 1073741824],
    ['500MB', 500e6],
    ['500 mb', 500e6],
    ['10GiB', 10 * 1024 ** 3],
    ['10Gi', 10 * 1024 ** 3],
    ['1.5k', 1500],
    ['1.5KiB', 1536],
    ['2T', 2e12],
    [' 7b ', 7],
  ])('%j is %d bytes', (text, bytes) => {
    expect(bytesVariable.parse(text)).toBe(bytes);
  });

  test.each([
    '',
    'GiB',
    '-1',
    '1e3',
    '10 iB',
    '1.2.3',
    '0x10',
    '10 PB',
    '10GiBs',
    'NaN',
    'Infinity',
    '9007199254740992',
    '9e99',
    '8192 TiB',
  ])('%j is no number of bytes', (text) => {
    expect(bytesVariable.safeParse(text).error?.issues[0]?.message).toMatch(/^must be a number of bytes such as/);
  });

  test('any text is a port exactly when it is a whole number from 0 to 65535', () => {
    const texts = fc.oneof(fc.string(), fc.integer({ min: -10, max: 100_000 }).map(String), fc.double().map(String));
    fc.assert(
      fc.property(texts, (text) => {
        const isPort = /^[0-9]{1,5}$/.test(text) && Number(text) <= 65535;
        expect(portVariable.safeParse(text)).toMatchObject(isPort ? { success: true, data: Number(text) } : { success: false });
      }),
    );
  });

  test.each([
    ['nats://a:4222', ['nats://a:4222']],
    ['a:4222, tls://b:4222', ['a:4222', 'tls://b:4222']],
    ['nats://[::1]:4222', ['nats://[::1]:4222']],
  ])('%j names the servers %j', (text, servers) => {
    expect(read({ NATS_URL: text }).NATS_URL).toEqual(servers);
  });

  test.each(['http://a:4222', 'nats://', 'nats://a/b', 'a b', 'a,,b'])('%j names no servers', (text) => {
    expect(problemsOf({ NATS_URL: text })).toEqual(['NATS_URL: must be one or more nats://host:port, separated by commas']);
  });
});
