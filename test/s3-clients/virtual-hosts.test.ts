/** Clients with the bucket in the name of the host: the AWS command line with `addressing_style = virtual`, and s3cmd with `%(bucket)s` in `host_bucket`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Stack } from '@sluice/stack';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { aws } from './aws.ts';
import { commandOf, run } from './client.ts';
import { s3cmd } from './s3cmd.ts';

const KEY = { accessKeyId: 'SLUICETESTKEY0000001', secretAccessKey: 'a-secret-of-the-tests-with-odd-signs/+=' };
const command = commandOf(aws);

test.skipIf(command === undefined)('aws puts, lists, links and removes at <bucket>.<domain>', async () => {
  await using dir = await temporaryDirectory();
  const inDir = (name: string): string => join(dir.path, name);
  await writeFile(inDir('keys.yaml'), JSON.stringify({ keys: [{ ...KEY, rights: { '*': ['read', 'write', 'delete', 'list'] } }] }));
  await writeFile(inDir('aws-config'), '[default]\nregion = us-east-1\ns3 =\n  addressing_style = virtual\n  signature_version = s3v4\n');
  await writeFile(inDir('poem.txt'), 'a poem\n');
  const env = { ORIGIN_KEYS_FILE: inDir('keys.yaml'), ORIGIN_S3_DOMAIN: 's3.sluice.test' };
  await using stack = await Stack.start({ dataDir: inDir('stack'), edges: [], env: { origin: env } });
  // No name server knows the domain. A proxy is asked in its place with the very request that a server would be sent, and any server takes such (RFC 9112 §3.2.2).
  const s3 = (...args: string[]): Promise<string> =>
    run(command ?? '', ['--endpoint-url', 'http://s3.sluice.test', '--no-cli-pager', ...args], {
      HOME: dir.path,
      HTTP_PROXY: stack.origin.url,
      AWS_CONFIG_FILE: inDir('aws-config'),
      AWS_ACCESS_KEY_ID: KEY.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEY.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: 'true',
    });
  await s3('s3', 'mb', 's3://site');
  await s3('s3', 'cp', '--only-show-errors', inDir('poem.txt'), 's3://site/a b/poem+1.txt');
  expect(await s3('s3', 'ls', '--recursive', 's3://site')).toContain('a b/poem+1.txt');
  expect(await s3('s3', 'ls')).toContain('site');
  const link = (await s3('s3', 'presign', 's3://site/a b/poem+1.txt')).trim();
  expect(new URL(link).host).toBe('site.s3.sluice.test');
  expect(await run('curl', ['--silent', '--proxy', stack.origin.url, link], {})).toBe('a poem\n');
  await s3('s3', 'rm', '--only-show-errors', '--recursive', 's3://site');
  await s3('s3', 'rb', 's3://site');
  expect(await s3('s3', 'ls')).toBe('');
});

test.skipIf(commandOf(s3cmd) === undefined)('s3cmd links to <bucket>.<domain>, with fields for the answer', async () => {
  await using dir = await temporaryDirectory();
  const inDir = (name: string): string => join(dir.path, name);
  await writeFile(inDir('keys.yaml'), JSON.stringify({ keys: [{ ...KEY, rights: { '*': ['read', 'write'] } }] }));
  await writeFile(inDir('poem.txt'), 'a poem\n');
  const env = { ORIGIN_KEYS_FILE: inDir('keys.yaml'), ORIGIN_S3_DOMAIN: 's3.sluice.test' };
  await using stack = await Stack.start({ dataDir: inDir('stack'), edges: [], env: { origin: env } });
  const { hostname, port } = new URL(stack.origin.url);
  const config = {
    ...{ access_key: KEY.accessKeyId, secret_key: KEY.secretAccessKey, use_https: 'False' },
    ...{ host_base: 's3.sluice.test', host_bucket: '%(bucket)s.s3.sluice.test', proxy_host: hostname, proxy_port: port },
    content_disposition: 'attachment; filename="a & b.txt"',
    content_type: 'text/x-poem',
  };
  const lines = Object.entries(config).map(([name, value]) => `${name} = ${value}`);
  await writeFile(inDir('s3cfg'), `[default]\n${lines.join('\n')}\n`);
  const command = (...args: string[]): Promise<string> => run('s3cmd', ['--config', inDir('s3cfg'), ...args], { HOME: dir.path });
  await command('put', inDir('poem.txt'), 's3://site/a b/poem+1é.txt');
  const link = (await command('signurl', 's3://site/a b/poem+1é.txt', '+300')).trim();
  expect(new URL(link).host).toBe('site.s3.sluice.test');
  const answer = await run('curl', ['--silent', '--include', '--proxy', stack.origin.url, link], {});
  expect(answer).toMatch(/^content-disposition: attachment; filename="a & b.txt"\r$/im);
  expect(answer).toMatch(/^content-type: text\/x-poem\r$/im);
  expect(answer).toMatch(/\r\n\r\na poem\n$/);
});
