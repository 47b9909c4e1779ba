import { describe, expect, test } from 'vitest';
import { sluice } from './captured-io.fixture.ts';

describe('command line', () => {
  test('--help lists every command and every exit code', async () => {
    const { exitCode, stdout } = await sluice('--help');
    expect(exitCode).toBe(0);
    for (const name of ['up', 'put', 'get', 'rm', 'invalidate', 'edges', 'status', 'watch'])
      expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    for (const code of [0, 1, 2, 3, 4, 5]) expect(stdout).toMatch(new RegExp(`^  ${code}  `, 'm'));
  });

  const senseless: [string[], string][] = [
    [[], 'Usage: sluice'],
    [['frob'], "unknown command 'frob'"],
    [['put', 'x'], "missing required argument 'destination'"],
    [['put', '/nowhere/at/all', 'site/x'], 'there is no file or directory /nowhere/at/all'],
    [['put', import.meta.filename, 'site'], '"site" is a bucket; write "site/"'],
    [['put', import.meta.filename, 'site/x', '--regions', 'US,,IN'], 'It must be 1 to 32 characters'],
    [['put', import.meta.filename, 'site/x', '--tags', '€'], 'may stand in an HTTP field'],
    [['put', import.meta.filename, 'site/x', '--timeout', 'soon'], 'must be a number of seconds'],
    [['put', '/dev/null', 'site/x'], 'neither a file nor a directory'],
    [['get', 'nobucket'], 'must have the form <bucket>/<path>'],
    [['invalidate'], 'name exactly one of --key, --prefix, --tag and --all'],
    [['invalidate', '--all', '--tag', 'x'], 'name exactly one'],
    [['invalidate', '--prefix', ''], 'must not be empty'],
    [['status', 'no spaces'], 'must be 1 to 128 characters'],
    [['watch', '--count', '0'], 'must be a whole number from 1'],
    [['edges', '--origin', 'nonsense'], 'must be a URL like'],
    [['up', '--edges', 'us-1'], 'must be <id>:<region>'],
    [['up', '--any-port', '--port-base', '5000'], 'exclude each other'],
    [['up', '--directory', ''], 'must not be empty'],
    [['up', '--directory', '/nowhere/at/all'], 'there is no directory /nowhere/at/all'],
    [['up', '--directory', import.meta.filename], 'is no directory; name the directory that the files are in'],
    [['up', '--directory', import.meta.dirname, '--data-dir', `${import.meta.dirname}/x/y`], 'would be published with it'],
    [['up', '--directory', import.meta.dirname, '--bucket', 'A b'], 'must be the name of a bucket'],
    [['up', '--bucket', 'site'], 'name that with --directory'],
  ];
  test.each(senseless)('%j is refused with exit 2, in words, and without a stack trace', async (args, message) => {
    const { exitCode, stdout, stderr } = await sluice(...args);
    expect([exitCode, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('with --json a failure is a document on stdout, too', async () => {
    for (const args of [['put', 'x'], ['invalidate'], ['frob'], ['get', 'site/x']]) {
      const { exitCode, io } = await sluice('--json', ...args);
      expect([exitCode, io.documents]).toEqual([2, [{ error: { code: 'USAGE', message: expect.any(String) } }]]);
    }
  });
});
