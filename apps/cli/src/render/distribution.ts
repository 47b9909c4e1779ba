/** Where an event stands, for people. */
import { type EdgeOutcome, isConfirmed } from '@sluice/contracts';
import { type DistributionState, missedEdges } from '../domain/distribution-state.ts';
import { bytes, count, duration, visible } from './quantity.ts';
import { renderTable } from './table.ts';
import type { Terminal } from './terminal.ts';

/** One line: `distributed to 3 edges in 84ms`. */
export function distributionSummary(state: DistributionState): string {
  const { edges, pending, durationMs, status } = state;
  const missed = missedEdges(state).length;
  const total = edges.length + pending.length;
  const confirmed = edges.length - missed;
  if (status === 'distributing') return `on its way: ${confirmed} of ${count(total, 'edge')} after ${duration(durationMs)}`;
  if (missed === 0) return `distributed to ${count(total, 'edge')} in ${duration(durationMs)}`;
  return `distributed to ${confirmed} of ${count(total, 'edge')} in ${duration(durationMs)}; the others catch up by themselves`;
}

/** What one edge did: `stored (delta, 1.6 kB) after 31ms`. */
export function outcomeText({ outcome, transfer, bytes: sizeBytes, ms, error }: EdgeOutcome): string {
  const how = transfer === undefined ? '' : ` (${transfer}, ${bytes(sizeBytes)})`;
  return `${outcome}${how} after ${duration(ms)}${error === undefined ? '' : `: ${visible(error)}`}`;
}

/** A line per edge, those that need attention first. */
export function distributionTable(state: DistributionState, terminal: Pick<Terminal, 'style'>): string[] {
  const answered = [...state.edges]
    .sort((a, b) => Number(isConfirmed(a.outcome)) - Number(isConfirmed(b.outcome)) || (a.edge < b.edge ? -1 : 1))
    .map((edge) => [
      edge.edge,
      edge.region,
      terminal.style(isConfirmed(edge.outcome) ? 'green' : 'red', edge.outcome),
      edge.transfer ?? '',
      bytes(edge.bytes),
      duration(edge.ms),
      String(edge.attempts),
      visible(edge.error ?? ''),
    ]);
  const awaited = state.pending.map(({ edge, region }) => [edge, region, terminal.style('yellow', 'pending')]);
  return renderTable(
    [
      { title: 'EDGE' },
      { title: 'REGION' },
      { title: 'OUTCOME' },
      { title: 'TRANSFER' },
      { title: 'BYTES', align: 'right' },
      { title: 'TIME', align: 'right' },
      { title: 'ATTEMPTS', align: 'right' },
      { title: 'ERROR' },
    ],
    [...awaited, ...answered],
  );
}
