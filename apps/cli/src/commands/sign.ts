import { readFile } from 'node:fs/promises';
import { type Scope, SECRET_MIN_BYTES, signedQuery } from '@sluice/signed-url';
import { Option } from 'commander';
import { z } from 'zod';
import { parsedBy } from '../config.ts';
import { EXIT, type ExitCode, usageError } from '../domain/failure.ts';
import type { AddCommand, Context } from './context.ts';

const SECONDS_OF = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-"');
const lifetime = z
  .string()
  .regex(/^[1-9]\d{0,8}[smhd]$/, 'must be a duration such as 90s, 15m, 24h or 7d')
  .transform((text) => Number(text.slice(0, -1)) * SECONDS_OF[text.slice(-1) as keyof typeof SECONDS_OF]);
const webUrl = z
  .url({ protocol: /^https?$/, error: 'must be a URL such as https://members.example.com/film.mp4' })
  .transform((text) => new URL(text));

interface SignOptions {
  readonly site: string;
  readonly key: string;
  readonly secretFile?: string;
  readonly secret?: string;
  /** Seconds. */
  readonly expiresIn: number;
  readonly prefix?: boolean;
}

export const addSign: AddCommand = (program, run) => {
  const command = program
    .command('sign')
    .description('make a link to private content of a site')
    .argument('<url>', 'what it opens, as visitors reach it', parsedBy(webUrl))
    .requiredOption('--site <name>', 'name of the site in the sites file', parsedBy(name))
    .requiredOption('--key <id>', 'id of the key', parsedBy(name))
    .option('--secret-file <file>', 'file with the secret of the key in base64')
    .addOption(new Option('--secret <base64>', 'the secret itself').env('SLUICE_SIGNING_SECRET').hideHelp())
    .addOption(new Option('--expires-in <duration>', 'for how long it opens').default(3600, '1h').argParser(parsedBy(lifetime)))
    .option('--prefix', 'open everything below the URL, a directory, and not only itself')
    .addHelpText('after', '\nWithout --secret-file the secret is taken from the environment, SLUICE_SIGNING_SECRET.');
  command.action((url: URL, options: SignOptions) => run(command, (context) => sign(context, url, options)));
};

async function sign({ io, terminal }: Context, url: URL, options: SignOptions): Promise<ExitCode> {
  const secret = Buffer.from(await secretText(options), 'base64');
  if (secret.byteLength < SECRET_MIN_BYTES) throw usageError(`the secret must be at least ${SECRET_MIN_BYTES} bytes in base64`);
  const path = decodeURIComponent(url.pathname);
  if (options.prefix && !path.endsWith('/')) throw usageError('with --prefix the URL must end with a slash: it opens a directory');
  const scope: Scope = options.prefix ? { kind: 'prefix', prefix: path } : { kind: 'path', path };
  const expiresAtSeconds = Math.floor(io.nowMs() / 1000) + options.expiresIn;
  const query = signedQuery(options.site, scope, expiresAtSeconds, { id: options.key, secret });
  const own = url.search === '' ? '?' : `${url.search}&`;
  const signed = `${url.origin}${url.pathname}${own}${query}`;
  terminal.line(signed);
  terminal.document({ url: signed, expiresAt: new Date(expiresAtSeconds * 1000).toISOString() });
  return EXIT.OK;
}

async function secretText({ secretFile, secret }: SignOptions): Promise<string> {
  if (secretFile !== undefined) {
    return readFile(secretFile, 'utf8').catch((error: Error) => {
      throw usageError(`--secret-file: ${error.message}`);
    });
  }
  if (secret === undefined) throw usageError('say with --secret-file, or in SLUICE_SIGNING_SECRET, what the secret is');
  return secret;
}
