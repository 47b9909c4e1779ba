/** What runs after `sluice up`, and what to try first. */
import { CredentialsDirectory } from '@sluice/credentials';
import type { Stack } from '@sluice/stack';
import { DEFAULT_CONTROLLER, DEFAULT_ORIGIN } from '../config.ts';
import { renderTable } from './table.ts';
import type { Terminal } from './terminal.ts';

interface Located {
  readonly url: string;
}
type Running = Pick<Stack, 'natsUrl' | 'dataDir' | 'directory'> & {
  /** Absent: the broker takes anyone. */
  readonly credentials?: Pick<CredentialsDirectory, 'path' | 'dirOf'> | undefined;
  readonly edges: ReadonlyMap<string, Located>;
  readonly members: readonly (Located & { readonly name: string })[];
  readonly origin: Located;
  readonly controller: Located;
};

/** For programs. */
export function stackDocument(stack: Stack) {
  const describe = ({ url, pid }: { url: string; pid: number }) => ({ url, pid });
  return {
    pid: process.pid,
    dataDir: stack.dataDir,
    ...(stack.directory === undefined ? {} : { directory: stack.directory }),
    ...(stack.credentials === undefined ? {} : { credentials: stack.credentials.path }),
    broker: { url: stack.natsUrl, ...(stack.ownsBroker ? { pid: stack.broker.pid } : {}) },
    origin: describe(stack.origin),
    controller: describe(stack.controller),
    edges: Object.fromEntries([...stack.edges].map(([id, edge]) => [id, describe(edge)])),
  };
}

export interface StackFiles {
  /** The edges have a sites file, so they need not serve a bucket by its name. */
  readonly withSites: boolean;
  /** The origin's keys; without them it takes commands from anyone. */
  readonly keysFile: string | undefined;
}

/**
 * A table of URLs and three commands that work as they stand; with keys, after a fourth that has to be completed with one. The files of a directory are not put: they are
 * written there, and where they come out is said.
 */
export function stackSummary(stack: Running, terminal: Pick<Terminal, 'style'>, { withSites, keysFile }: StackFiles): string[] {
  const { directory } = stack;
  const rows = [
    ...(directory === undefined ? [] : [['files', directory.path]]),
    ['broker', stack.natsUrl],
    ...stack.members.map(({ name, url }) => [name, url]),
    ...(stack.credentials === undefined ? [] : [['credentials', stack.credentials.path]]),
    ['data, logs', stack.dataDir],
  ];
  const where = [
    ...(stack.origin.url === DEFAULT_ORIGIN ? [] : [`--origin ${stack.origin.url}`]),
    ...(stack.controller.url === DEFAULT_CONTROLLER ? [] : [`--controller ${stack.controller.url}`]),
  ];
  const [edge] = stack.edges.values();
  const path = withSites ? 'readyz' : `${directory?.bucket ?? 'demo'}/hello.json`;
  const commands = [
    ...(directory === undefined ? putCommands(where, keysFile) : [`cp package.json ${quoted(`${directory.path}/hello.json`)}`]),
    ...(edge === undefined ? [] : [`curl -i ${edge.url}/${path}`]),
    ['npx sluice watch --nats', stack.natsUrl, ...consoleAccess(stack.credentials)].join(' '),
  ];
  return [
    '',
    ...renderTable([{ title: 'PART' }, { title: 'WHERE' }], rows),
    '',
    ...(directory === undefined ? [] : directoryLines(directory)),
    'Try, in another terminal:',
    ...commands.map((command) => `  ${terminal.style('cyan', command)}`),
    '',
    'Ctrl-C stops everything.',
  ];
}

function consoleAccess(credentials: Running['credentials']): string[] {
  if (credentials === undefined) return [];
  const { nkeyFile, caFile } = CredentialsDirectory.accessIn(credentials.dirOf('console'));
  return [`--nats-nkey ${quoted(nkeyFile)}`, `--nats-ca ${quoted(caFile)}`];
}

function putCommands(where: readonly string[], keysFile: string | undefined): string[] {
  return [
    ...(keysFile === undefined ? [] : [`export SLUICE_ACCESS_KEY_ID=… SLUICE_SECRET_ACCESS_KEY=…  # a key of ${keysFile} that may write`]),
    ['npx sluice put package.json demo/hello.json --wait', ...where].join(' '),
  ];
}

function directoryLines({ path, bucket }: NonNullable<Running['directory']>): string[] {
  return [
    `Every edge serves the file <path> of ${path} as /${bucket}/<path>, a second or two after it was written.`,
    'Nothing is uploaded: write, change and remove files there.',
    '',
  ];
}

/** As one word of a shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
