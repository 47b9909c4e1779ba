import { keyPrefix, version } from '@sluice/contracts';
import { z } from 'zod';
import type { Announcement, RolledBack } from '../adapters/origin-client.ts';
import { parsedBy } from '../config.ts';
import { CommandError, EXIT, type ExitCode, usageError } from '../domain/failure.ts';
import { count } from '../render/quantity.ts';
import { keyParser, type WaitOptions, waitOptions } from './arguments.ts';
import type { AddCommand, Context } from './context.ts';
import { finishChange, finishChanges } from './distribution-wait.ts';

interface RollbackOptions extends WaitOptions {
  readonly prefix?: string;
  readonly to?: number;
}

const versionParser = parsedBy(
  z
    .string()
    .regex(/^\d{1,16}$/, 'must be a version, the number that "put" and "x-sluice-version" tell')
    .transform(Number)
    .pipe(version),
);

export const addRollback: AddCommand = (program, run) => {
  const command = program
    .command('rollback')
    .description('make an earlier version current again on every edge; without --to the one before')
    .argument('[key]', '<bucket>/<path>', keyParser)
    .option('--prefix <prefix>', 'every key that begins so, such as site/', parsedBy(keyPrefix))
    .option('--to <version>', 'as it was at this version', versionParser);
  for (const option of waitOptions()) command.addOption(option);
  command.action((key: string | undefined, options: RollbackOptions) =>
    run(command, (context) => {
      const { prefix } = options;
      if (key !== undefined && prefix === undefined) return rollBackKey(context, key, options);
      if (key === undefined && prefix !== undefined) return rollBackPrefix(context, prefix, options);
      throw usageError('name a key, or a --prefix');
    }),
  );
};

async function rollBackKey(context: Context, key: string, options: RollbackOptions): Promise<ExitCode> {
  const { rolledBack } = await context.origin.rollBack({ key, to: options.to });
  const [announcement] = rolledBack;
  if (announcement !== undefined) return finishChange(context, { line: `rolled back ${key}`, fields: { key }, announcement }, options);
  context.terminal.line(`${key} is as it was at version ${options.to}`);
  context.terminal.document({ key, unchanged: true });
  return EXIT.OK;
}

/** Goes through the keys by pages; what was rolled back before a failure stays so. */
async function rollBackPrefix(context: Context, prefix: string, { to, ...wait }: RollbackOptions): Promise<ExitCode> {
  const { origin, terminal } = context;
  const announcements: (Announcement & { readonly key: string })[] = [];
  let [unchanged, notKept] = [0, 0];
  let page: RolledBack | undefined;
  do {
    page = await origin.rollBack({ prefix, to, after: page?.next });
    announcements.push(...page.rolledBack);
    unchanged += page.unchanged;
    notKept += page.notKept;
  } while (page.next !== undefined);
  if (announcements.length + unchanged + notKept === 0) {
    throw new CommandError(EXIT.NOT_FOUND, 'NOT_FOUND', `no earlier version is kept of any key that begins with ${prefix}`);
  }
  terminal.line(`rolled back ${count(announcements.length, 'key')} of ${prefix}; ${unchanged} were so already`);
  if (notKept > 0) terminal.warn(`of ${count(notKept, 'key')} that version is not kept any more: they are as they were`);
  return finishChanges(context, { fields: { prefix, rolledBack: announcements.length, unchanged, notKept }, announcements }, wait);
}
