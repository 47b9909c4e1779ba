import { eventId } from '@sluice/contracts';
import { parsedBy } from '../config.ts';
import { distributionExit, distributionWarnings } from '../domain/distribution-state.ts';
import { CommandError, EXIT } from '../domain/failure.ts';
import { distributionSummary, distributionTable } from '../render/distribution.ts';
import { visible } from '../render/quantity.ts';
import type { AddCommand } from './context.ts';

export const addStatus: AddCommand = (program, run) => {
  const command = program
    .command('status')
    .description('tell where an event has arrived, edge by edge')
    .argument('<event>', 'the event id that put, rm or invalidate printed', parsedBy(eventId));
  command.action((id: string) =>
    run(command, async ({ controller, terminal }) => {
      const state = await controller.distribution(id);
      if (state === undefined) {
        const message = `the controller knows no event ${id}: it has not reached it yet, or is among the forgotten older ones`;
        throw new CommandError(EXIT.NOT_FOUND, 'NOT_FOUND', message);
      }
      terminal.document(state);
      terminal.line(`${state.event} ${visible(state.subject)}  version ${state.version}  ${distributionSummary(state)}`);
      if (state.edges.length + state.pending.length > 0) for (const line of distributionTable(state, terminal)) terminal.line(line);
      for (const warning of distributionWarnings(state)) terminal.warn(warning);
      return distributionExit(state);
    }),
  );
};
