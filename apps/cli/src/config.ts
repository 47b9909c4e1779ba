/** Where the services are: options of every command, with environment variables behind them. */
import type { BrokerAccess } from '@sluice/bus';
import { InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { usageError } from './domain/failure.ts';

const serviceUrl = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'must be a URL like http://127.0.0.1:9000')
  .transform((text) => text.replace(/\/+$/, ''));

const natsUrls = z
  .string()
  .transform((text) => text.split(',').map((server) => server.trim()))
  .refine(
    (servers) => servers.every((server) => /^((nats|tls):\/\/)?[^\s/]+$/.test(server)),
    'must be one or more nats://host:port, separated by commas',
  );

export const DEFAULT_ORIGIN = 'http://127.0.0.1:9000';
export const DEFAULT_CONTROLLER = 'http://127.0.0.1:9100';
const DEFAULT_NATS = 'nats://127.0.0.1:4222';

/** What the global options come to. */
export const settings = z.object({
  /** One JSON document on stdout, or one a line for what comes bit by bit. */
  json: z.boolean().default(false),
  /** Without a slash at the end. */
  origin: z.string().default(DEFAULT_ORIGIN),
  controller: z.string().default(DEFAULT_CONTROLLER),
  nats: z.array(z.string()).default([DEFAULT_NATS]),
  /** How the broker knows who this is, and this who the broker is. */
  natsNkey: z.string().optional(),
  natsUser: z.string().optional(),
  natsPasswordFile: z.string().optional(),
  natsCa: z.string().optional(),
  /** Of a key of the origin; requests to it are signed when there is one. */
  accessKeyId: z.string().optional(),
  secretAccessKey: z.string().optional(),
  /** Of the controller's administrative interface. */
  adminTokenFile: z.string().optional(),
});
export type Settings = Readonly<z.output<typeof settings>>;

/** An option parser for commander out of a schema; what the schema refuses is a usage error with its words. */
export function parsedBy<Schema extends z.ZodType>(schema: Schema): (text: string) => z.output<Schema> {
  return (text) => {
    const result = schema.safeParse(text);
    if (!result.success) throw new InvalidArgumentError(`It ${result.error.issues[0]?.message}.`);
    return result.data;
  };
}

export const urlOption = parsedBy(serviceUrl);

/** The options every command takes. */
export function globalOptions(): Option[] {
  return [
    new Option('--json', 'machine-readable output on stdout'),
    new Option('--origin <url>', 'the origin').env('SLUICE_ORIGIN').default(DEFAULT_ORIGIN).argParser(urlOption),
    new Option('--controller <url>', 'the controller').env('SLUICE_CONTROLLER').default(DEFAULT_CONTROLLER).argParser(urlOption),
    new Option('--nats <url>', 'the broker; several with commas')
      .env('NATS_URL')
      .default([DEFAULT_NATS], DEFAULT_NATS)
      .argParser(parsedBy(natsUrls)),
    new Option('--nats-nkey <file>', 'the seed of a key that the broker knows').env('NATS_NKEY_FILE'),
    new Option('--nats-ca <file>', 'the authority of its certificate').env('NATS_CA_FILE'),
    new Option('--nats-user <name>', 'instead of a key').env('NATS_USER').hideHelp(),
    new Option('--nats-password-file <file>', 'with the password of that user').env('NATS_PASSWORD_FILE').hideHelp(),
    new Option('--admin-token-file <file>', 'a token of the controller, on its first line').env('SLUICE_ADMIN_TOKEN_FILE'),
    // Not in the help: whoever lists the processes of the machine sees what is given as an option.
    new Option('--access-key-id <id>', 'key of the origin').env('SLUICE_ACCESS_KEY_ID').hideHelp(),
    new Option('--secret-access-key <secret>', 'its secret').env('SLUICE_SECRET_ACCESS_KEY').hideHelp(),
  ];
}

/** @throws {CommandError} usage, when a user comes without a password or the other way round, or beside a key */
export function natsAccess({ natsNkey, natsUser, natsPasswordFile, natsCa }: Settings): BrokerAccess {
  if ((natsUser === undefined) !== (natsPasswordFile === undefined)) {
    throw usageError('a user of the broker has a password: set both NATS_USER and NATS_PASSWORD_FILE, or neither');
  }
  if (natsUser !== undefined && natsNkey !== undefined) throw usageError('NATS_NKEY_FILE and NATS_USER exclude each other');
  return { nkeyFile: natsNkey, user: natsUser, passwordFile: natsPasswordFile, caFile: natsCa };
}
