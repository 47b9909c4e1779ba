import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { CredentialsDirectory, CredentialsError } from '@sluice/credentials';
import { z } from 'zod';
import { parsedBy } from '../config.ts';
import { expandRanges, parseEdgeList } from '../domain/edge-list.ts';
import { CommandError, EXIT, type ExitCode } from '../domain/failure.ts';
import type { AddCommand, Context } from './context.ts';

interface CredentialsOptions {
  readonly edges?: string;
  readonly brokerNames: string[];
  readonly cluster?: string[];
  readonly storeDir?: string;
  readonly notifications?: string;
  readonly rotate?: string[];
  readonly owner?: { uid: number; gid: number };
}

const HOST_NAME = /^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
const hostNames = z
  .string()
  .transform((text) => text.split(',').map((name) => name.trim()))
  .refine(
    (names) => names.every((name) => isIP(name) !== 0 || HOST_NAME.test(name)),
    'must be host names and IP addresses, separated by commas',
  );
const names = z.string().transform((text) => text.split(',').map((name) => name.trim()));
const subject = z.string().regex(/^[^\s.>]+(\.[^\s.>]+)*(\.>)?$/, 'must be a subject of NATS, such as bucket.events');
const owner = z
  .string()
  .regex(/^\d{1,9}:\d{1,9}$/, 'must be <uid>:<gid>, as in 1000:1000')
  .transform((text) => {
    const [uid, gid] = text.split(':').map(Number);
    return { uid: uid as number, gid: gid as number };
  });

export const addCredentials: AddCommand = (program, run) => {
  const command = program
    .command('credentials')
    .description(
      'make the users of a broker with their keys, its configuration, certificates, and a token for the administrative interfaces; what is there is kept',
    )
    .argument('<directory>', 'where all of it goes; each part is given the directory in there that is its own')
    .option('--edges <list>', 'edges that are to be there, as <id>:<region> or with a range, us-1..16:US')
    .option('--broker-names <list>', 'host names and addresses by which the broker is reached', parsedBy(hostNames), [
      'localhost',
      '127.0.0.1',
    ])
    .option(
      '--cluster <list>',
      'several servers that are one broker: where they reach each other, as in nats-1,nats-2,nats-3',
      parsedBy(hostNames),
    )
    .option('--store-dir <dir>', 'where the broker keeps its streams, as it sees it (default: "jetstream" beside its configuration)')
    .option('--notifications <subject>', 'where an S3 service tells of changes; makes a user "notifier" for it', parsedBy(subject))
    .option('--rotate <names>', 'make these anew: "origin", an edge’s id, "broker" for its certificate, "admin-token"', parsedBy(names))
    .option('--owner <uid:gid>', 'whose the files become', parsedBy(owner));
  command.action((directory: string, options: CredentialsOptions) => run(command, (context) => credentials(context, directory, options)));
};

async function credentials({ io, terminal }: Context, directory: string, options: CredentialsOptions): Promise<ExitCode> {
  const { edges, brokerNames, cluster, storeDir, notifications, rotate = [], owner: ownedBy } = options;
  const target = new CredentialsDirectory(resolve(directory));
  const { made, users } = await target
    .fill({
      edges: edges === undefined ? [] : parseEdgeList(expandRanges(edges)).map(({ id, region }) => ({ id, region })),
      ...{ serverNames: brokerNames, cluster, storeDir, notifications, rotate, owner: ownedBy, nowMs: io.nowMs() },
    })
    .catch((error: unknown) => {
      if (!(error instanceof Error)) throw error;
      throw new CommandError(EXIT.FAILED, error instanceof CredentialsError ? 'CREDENTIALS' : 'NOT_WRITTEN', error.message, error);
    });
  terminal.document({ directory: target.path, made, users });
  terminal.line(made.length === 0 ? `everything was there in ${target.path}` : `made in ${target.path}: ${made.join(', ')}`);
  if (made.length > 0) {
    terminal.note(
      'start the broker with "nats-server -c nats.conf" in the directory broker, or tell one that runs: nats-server --signal reload',
    );
  }
  return EXIT.OK;
}
