import { counter, createMetrics, gauge, type Registry } from '@sluice/runtime';

/** Why a connection was closed that had to begin with a PROXY header. */
export const PROXY_REFUSALS = ['untrusted', 'malformed', 'timeout'] as const;
export type ProxyRefusal = (typeof PROXY_REFUSALS)[number];

/** How a request was answered. */
export const REQUEST_RESULTS = ['hit', 'miss', 'revalidated', 'stale', 'absent', 'invalid', 'unavailable'] as const;
export type RequestResult = (typeof REQUEST_RESULTS)[number];

/** The edge's own counters; an operator alerts on `*_failures_total`, on the age of the last catch-up and on a low hit share. */
export function edgeMetrics() {
  const registry: Registry = createMetrics('edge');
  const requestsTotal = counter(registry, 'sluice_edge_requests_total', 'Requests by how they were answered.', 'result', REQUEST_RESULTS);
  // Found once: looking a label up for each request takes longer than counting.
  const requests = Object.fromEntries(REQUEST_RESULTS.map((result) => [result, requestsTotal.labels(result)])) as Record<
    RequestResult,
    { inc(): void }
  >;
  return {
    registry,
    countRequest: (result: RequestResult): void => requests[result].inc(),
    sentBytes: counter(registry, 'sluice_edge_sent_bytes_total', 'Body bytes sent to visitors.'),
    brokenBodies: counter(registry, 'sluice_edge_broken_bodies_total', 'Bodies cut off because the bytes could not be read.'),
    pushes: counter(registry, 'sluice_edge_pushes_total', 'Pushed commands by outcome.', 'outcome', [
      'stored',
      'metadata',
      'current',
      'removed',
      'invalidated',
      'failed',
    ]),
    transferredBytes: counter(
      registry,
      'sluice_edge_transferred_bytes_total',
      'Content bytes brought from the origin, by form.',
      'transfer',
      ['delta', 'full'],
    ),
    transferFailures: counter(registry, 'sluice_edge_transfer_failures_total', 'Transfers that failed.'),
    catchUps: counter(registry, 'sluice_edge_catch_ups_total', 'Completed catch-ups.'),
    catchUpFailures: counter(registry, 'sluice_edge_catch_up_failures_total', 'Catch-ups that failed.'),
    caughtUpChanges: counter(registry, 'sluice_edge_caught_up_changes_total', 'Changes that catch-ups listed.'),
    accessLogDroppedLines: counter(
      registry,
      'sluice_edge_access_log_dropped_lines_total',
      'Lines of the access log that were not written, because the system did not take them in time.',
    ),
    proxyRefusals: counter(
      registry,
      'sluice_edge_proxy_protocol_refusals_total',
      'Connections closed because they did not begin with a PROXY header of a trusted proxy.',
      'reason',
      PROXY_REFUSALS,
    ),
    /** Registers a value that is read when the metrics are asked for. */
    observe: (name: string, help: string, read: () => number) => gauge(registry, `sluice_edge_${name}`, help, read),
  };
}
export type EdgeMetrics = ReturnType<typeof edgeMetrics>;
