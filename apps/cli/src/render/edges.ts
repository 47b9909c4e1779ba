/** The live edges, for people. */
import type { EdgeStatus } from '../adapters/controller-client.ts';
import { bytes, duration } from './quantity.ts';
import { renderTable } from './table.ts';

export function edgesTable(edges: readonly EdgeStatus[]): string[] {
  return renderTable(
    [
      { title: 'EDGE' },
      { title: 'REGION' },
      { title: 'URL' },
      { title: 'OBJECTS', align: 'right' },
      { title: 'HELD', align: 'right' },
      { title: 'CAPACITY', align: 'right' },
      { title: 'CATALOG VERSION', align: 'right' },
      { title: 'QUEUED', align: 'right' },
      { title: 'LEASE', align: 'right' },
    ],
    edges.map((edge) => [
      edge.id,
      edge.region,
      edge.url,
      String(edge.objects),
      bytes(edge.bytes),
      bytes(edge.capacityBytes),
      String(edge.catalogVersion),
      String(edge.queued + edge.inFlight),
      duration(Math.max(0, edge.leaseRemainingMs)),
    ]),
  );
}
