import { resolve } from 'node:path';
import { isBucketName } from '@sluice/contracts';
import { DataDirInUseError } from '@sluice/sqlite';
import { type DirectorySpec, type EdgeSpec, NatsServerMissingError, PortsTakenError, ProcessError, Stack } from '@sluice/stack';
import { z } from 'zod';
import { checkedDirectory } from '../adapters/published-directory.ts';
import { parsedBy } from '../config.ts';
import { type ListedEdge, parseEdgeList } from '../domain/edge-list.ts';
import { CommandError, EXIT, type ExitCode, usageError } from '../domain/failure.ts';
import { stackDocument, stackSummary } from '../render/stack.ts';
import type { AddCommand, Context } from './context.ts';
import { Interrupts } from './interrupts.ts';

interface UpOptions {
  readonly edges: string;
  readonly dataDir: string;
  readonly portBase?: number;
  readonly anyPort?: boolean;
  readonly broker?: string;
  readonly secure?: boolean;
  readonly directory?: string;
  readonly bucket?: string;
}

const DEFAULT_EDGES = 'us-1:US,eu-1:EU,in-1:IN';
const DEFAULT_PORTS = { broker: 4222, origin: 9000, controller: 9100, firstEdge: 8081 } as const;

const DEFAULT_BUCKET = 'site';

const bucketName = z.string().refine(isBucketName, 'must be the name of a bucket: 1 to 63 characters of a-z, 0-9, "." and "-"');
const portBase = z
  .string()
  .regex(/^\d{1,5}$/, 'must be a port number')
  .transform(Number)
  .refine((port) => port >= 1024 && port <= 65_000, 'must be from 1024 to 65000');

export const addUp: AddCommand = (program, run) => {
  const command = program
    .command('up')
    .description('start a whole CDN on this machine; Ctrl-C stops it')
    .option('--edges <list>', 'edges as <id>:<region>[:<port>]', DEFAULT_EDGES)
    .option('--data-dir <dir>', 'where it keeps its data and logs', './data')
    .option('--port-base <port>', 'consecutive ports from here: broker, origin, controller, edges', parsedBy(portBase))
    .option('--any-port', 'whatever ports are free')
    .option('--broker <url>', 'use this broker instead of starting one')
    .option('--secure', 'a broker with TLS that knows each part by its key; the keys are in <data-dir>/credentials')
    .option('--directory <dir>', 'publish the files that are in there, instead of what is uploaded')
    .option('--bucket <name>', `the bucket in which they are (default: "${DEFAULT_BUCKET}")`, parsedBy(bucketName));
  command.action((options: UpOptions) => run(command, (context) => up(context, options)));
};

async function up({ io, terminal }: Context, options: UpOptions): Promise<ExitCode> {
  if (options.anyPort && options.portBase !== undefined) throw usageError('--any-port and --port-base exclude each other');
  if (options.secure && options.broker !== undefined)
    throw usageError('--secure is about the broker that is started here; --broker names another one');
  const directory = await published(options);
  const abort = new AbortController();
  let stack: Stack | undefined;
  const interrupts = new Interrupts(io, {
    first() {
      terminal.note('stopping; Ctrl-C again kills at once');
      abort.abort(new CommandError(EXIT.FAILED, 'INTERRUPTED', 'interrupted before it was up'));
    },
    // The stack's processes die with this one.
    again: () => process.exit(EXIT.FAILED),
  });
  try {
    stack = await Stack.start({
      dataDir: options.dataDir,
      ...ports(options),
      ...(options.broker === undefined ? {} : { broker: options.broker }),
      ...(directory === undefined ? {} : { directory }),
      secured: options.secure ?? false,
      say: (message) => terminal.note(message),
      signal: abort.signal,
    });
    const died = whenOneDies(stack);
    terminal.document(stackDocument(stack));
    // The parts have the environment of this process.
    const files = { withSites: (process.env.EDGE_SITES_FILE ?? '') !== '', keysFile: process.env.ORIGIN_KEYS_FILE || undefined };
    for (const line of stackSummary(stack, terminal, files)) terminal.line(line);
    return await Promise.race([interrupts.interrupted.then(() => EXIT.OK), died]);
  } catch (error) {
    throw explained(error, options);
  } finally {
    await stack?.stop();
    interrupts.stop();
  }
}

/** The ports of the parts, and the edges with theirs. */
function ports({ edges, portBase: base, anyPort }: UpOptions): {
  ports: { broker: number; origin: number; controller: number };
  edges: EdgeSpec[];
} {
  const list: ListedEdge[] = parseEdgeList(edges);
  if (anyPort) return { ports: { broker: 0, origin: 0, controller: 0 }, edges: list.map((edge) => ({ port: 0, ...edge })) };
  const { firstEdge, ...fixed } =
    base === undefined ? DEFAULT_PORTS : { broker: base, origin: base + 1, controller: base + 2, firstEdge: base + 3 };
  return { ports: fixed, edges: list.map((edge, index) => ({ port: firstEdge + index, ...edge })) };
}

/** The files to publish. @throws {CommandError} when they cannot be */
async function published({ directory, bucket, dataDir }: UpOptions): Promise<DirectorySpec | undefined> {
  if (directory === undefined) {
    if (bucket !== undefined) throw usageError('--bucket says in which bucket the files of a directory are; name that with --directory');
    return undefined;
  }
  return { path: await checkedDirectory(directory, dataDir), bucket: bucket ?? DEFAULT_BUCKET };
}

/** Rejects when a part ends by itself. Half a CDN would only look like one that works. */
function whenOneDies(stack: Stack): Promise<never> {
  return new Promise((_, reject) => {
    stack.onUnexpectedEnd((name, how) => {
      const logs = resolve(stack.dataDir, 'logs');
      reject(new CommandError(EXIT.FAILED, 'PART_DIED', `${name} ${how}; everything is being stopped. Its last words are in ${logs}`));
    });
  });
}

/** What keeps a stack from starting, with what to do about it. */
function explained(error: unknown, { dataDir }: UpOptions): unknown {
  if (error instanceof PortsTakenError) {
    const taken = error.taken.map(({ name, port }) => `port ${port} (for ${name})`).join(', ');
    const existing = error.taken.find(({ name }) => name === 'the broker');
    const useExisting = existing === undefined ? '' : `, or, if a nats-server is there, add --broker nats://127.0.0.1:${existing.port}`;
    const message = `taken: ${taken}. Stop what listens there (another "sluice up"?), or choose with --port-base or --any-port${useExisting}`;
    return new CommandError(EXIT.FAILED, 'PORT_TAKEN', message, error);
  }
  if (error instanceof DataDirInUseError) {
    const message = `another "sluice up" uses ${resolve(dataDir)}; stop it, or give this one a --data-dir of its own`;
    return new CommandError(EXIT.FAILED, 'DATA_DIR_IN_USE', message, error);
  }
  if (error instanceof NatsServerMissingError) return new CommandError(EXIT.FAILED, 'NATS_SERVER_MISSING', error.message, error);
  if (error instanceof ProcessError && error.message.includes('has the content of another source')) {
    const message = `${resolve(dataDir)} has the content of another source: what was uploaded, or another directory. Give this one a --data-dir of its own`;
    return new CommandError(EXIT.FAILED, 'DATA_DIR_OF_ANOTHER_SOURCE', message, error);
  }
  if (error instanceof ProcessError) return new CommandError(EXIT.FAILED, 'START_FAILED', error.message, error);
  return error;
}
