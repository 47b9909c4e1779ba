import { EXIT } from '../domain/failure.ts';
import { edgesTable } from '../render/edges.ts';
import type { AddCommand } from './context.ts';

export const addEdges: AddCommand = (program, run) => {
  const command = program.command('edges').description('list the live edges');
  command.action(() =>
    run(command, async ({ controller, terminal }) => {
      const edges = await controller.edges();
      terminal.document({ edges });
      if (edges.length === 0) terminal.note('no edge is live; one that starts shows up within a second');
      else for (const line of edgesTable(edges)) terminal.line(line);
      return EXIT.OK;
    }),
  );
};
