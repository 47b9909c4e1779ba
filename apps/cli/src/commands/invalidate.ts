import { describeSelector, keyPrefix, type Selector } from '@sluice/contracts';
import { parsedBy } from '../config.ts';
import { usageError } from '../domain/failure.ts';
import { keyParser, tagParser, type WaitOptions, waitOptions } from './arguments.ts';
import type { AddCommand } from './context.ts';
import { finishChange } from './distribution-wait.ts';

interface InvalidateOptions extends WaitOptions {
  readonly key?: string;
  readonly prefix?: string;
  readonly tag?: string;
  readonly all?: true;
  readonly purge?: boolean;
}

export const addInvalidate: AddCommand = (program, run) => {
  const command = program
    .command('invalidate')
    .description('make edges ask the origin before they serve what matches again')
    .option('--key <key>', 'one object, <bucket>/<path>', keyParser)
    .option('--prefix <prefix>', 'every key that begins so, such as site/img/', parsedBy(keyPrefix))
    .option('--tag <tag>', 'everything that was put with this tag', tagParser)
    .option('--all', 'everything')
    .option('--purge', 'drop the bytes too, so that they are not served even when the origin is away');
  for (const option of waitOptions()) command.addOption(option);
  command.action((options: InvalidateOptions) =>
    run(command, async (context) => {
      const selector = selectorOf(options);
      const mode = options.purge ? 'purge' : 'stale';
      const announcement = await context.origin.invalidate(selector, mode);
      const line = `${mode === 'purge' ? 'purged' : 'invalidated'} ${describeSelector(selector)}`;
      return finishChange(context, { line, fields: { selector, mode }, announcement }, options);
    }),
  );
};

/** @throws {CommandError} usage, unless exactly one was named */
function selectorOf({ key, prefix, tag, all }: InvalidateOptions): Selector {
  const named: Selector[] = [];
  if (key !== undefined) named.push({ key });
  if (prefix !== undefined) named.push({ prefix });
  if (tag !== undefined) named.push({ tag });
  if (all) named.push({ all });
  const [selector] = named;
  if (selector === undefined || named.length > 1) throw usageError('name exactly one of --key, --prefix, --tag and --all');
  return selector;
}
