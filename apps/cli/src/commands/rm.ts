import { keyParser, type WaitOptions, waitOptions } from './arguments.ts';
import type { AddCommand } from './context.ts';
import { finishChange } from './distribution-wait.ts';

export const addRm: AddCommand = (program, run) => {
  const command = program
    .command('rm')
    .description('remove one object from the origin and every edge')
    .argument('<key>', '<bucket>/<path>', keyParser);
  for (const option of waitOptions()) command.addOption(option);
  command.action((key: string, options: WaitOptions) =>
    run(command, async (context) => {
      const announcement = await context.origin.remove(key);
      return finishChange(context, { line: `removed ${key}`, fields: { key }, announcement }, options);
    }),
  );
};
