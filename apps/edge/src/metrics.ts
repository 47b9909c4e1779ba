import { countedElsewhere, counter, createMetrics, Gauge, gauge, type Registry } from '@sluice/runtime';
import type { Certificates } from './domain/certificates.ts';

/** Why a connection was closed that had to begin with a PROXY header. */
export const PROXY_REFUSALS = ['untrusted', 'malformed', 'timeout'] as const;
export type ProxyRefusal = (typeof PROXY_REFUSALS)[number];

/** Why something was not taken for the word of the origin; `contradictory`: what is signed says something else than the command. The others are those of `libs/signing`. */
export const TRUST_REFUSALS = ['unsigned', 'unknown_key', 'wrong', 'contradictory'] as const;
export type TrustRefusal = (typeof TRUST_REFUSALS)[number];

/** How a request was answered. */
export const REQUEST_RESULTS = ['hit', 'miss', 'revalidated', 'stale', 'absent', 'redirected', 'invalid', 'unavailable'] as const;
export type RequestResult = (typeof REQUEST_RESULTS)[number];

/** What a serving thread counts. */
export const SERVING_COUNTERS = [
  ...REQUEST_RESULTS,
  ...PROXY_REFUSALS.map((reason) => `proxy-${reason}` as const),
  ...(['sentBytes', 'brokenBodies', 'droppedLogLines', 'trialBytes'] as const),
] as const;
export type CounterName = (typeof SERVING_COUNTERS)[number];

/** The edge's own counters; an operator alerts on `*_failures_total`, on the age of the last catch-up and on a low hit share. */
export function edgeMetrics() {
  const registry: Registry = createMetrics('edge');
  return {
    registry,
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
      'Content bytes brought from the origin, by form; ahead: blocks for ranges that a fill had not come to.',
      'transfer',
      ['delta', 'full', 'ahead'],
    ),
    transferFailures: counter(registry, 'sluice_edge_transfer_failures_total', 'Transfers that failed.'),
    scrubbedBytes: counter(registry, 'sluice_edge_scrubbed_bytes_total', 'Content bytes read again to compare them with their names.'),
    scrubMismatches: counter(
      registry,
      'sluice_edge_scrub_mismatches_total',
      'Blobs that the disk gave back damaged or not at all, by what found them; each was dropped.',
      'found_by',
      ['scrub', 'read'],
    ),
    databasesReplaced: (read: () => number) =>
      countedElsewhere(registry, 'sluice_edge_databases_replaced_total', 'Damaged databases that were given up and begun anew.', () => [
        { labels: {}, value: read() },
      ]),
    signatureRefusals: counter(
      registry,
      'sluice_edge_signature_refusals_total',
      'Pushes and replies that were not signed by the origin, by reason.',
      'reason',
      TRUST_REFUSALS,
    ),
    catchUps: counter(registry, 'sluice_edge_catch_ups_total', 'Completed catch-ups.'),
    catchUpFailures: counter(registry, 'sluice_edge_catch_up_failures_total', 'Catch-ups that failed.'),
    caughtUpChanges: counter(registry, 'sluice_edge_caught_up_changes_total', 'Changes that catch-ups listed.'),
    /** Registers when each certificate expires, read when the metrics are asked for. */
    observeCertificates(read: () => Certificates): void {
      new Gauge({
        name: 'sluice_edge_certificate_expires_timestamp_seconds',
        help: 'When a certificate expires, in seconds since the epoch.',
        labelNames: ['certificate'],
        registers: [registry],
        collect() {
          const { byHost, fallback } = read();
          this.reset();
          for (const { name, notAfterMs } of new Set([...byHost.values(), ...(fallback === undefined ? [] : [fallback])])) {
            this.set({ certificate: name }, notAfterMs / 1000);
          }
        },
      });
    },
    /** Registers what serving threads count in numbers of their own. */
    observeServing: (read: (name: CounterName) => number): void => {
      countedElsewhere(registry, 'sluice_edge_requests_total', 'Requests by how they were answered.', () =>
        REQUEST_RESULTS.map((result) => ({ labels: { result }, value: read(result) })),
      );
      countedElsewhere(registry, 'sluice_edge_sent_bytes_total', 'Body bytes sent to visitors.', () => [
        { labels: {}, value: read('sentBytes') },
      ]);
      countedElsewhere(
        registry,
        'sluice_edge_access_log_dropped_lines_total',
        'Lines of the access log that were not written, because the system did not take them in time.',
        () => [{ labels: {}, value: read('droppedLogLines') }],
      );
      countedElsewhere(
        registry,
        'sluice_edge_proxy_protocol_refusals_total',
        'Connections closed because they did not begin with a PROXY header of a trusted proxy.',
        () => PROXY_REFUSALS.map((reason) => ({ labels: { reason }, value: read(`proxy-${reason}`) })),
      );
      countedElsewhere(registry, 'sluice_edge_broken_bodies_total', 'Bodies cut off because the bytes could not be read.', () => [
        { labels: {}, value: read('brokenBodies') },
      ]);
    },
    /** Registers a value that is read when the metrics are asked for. */
    observe: (name: string, help: string, read: () => number) => gauge(registry, `sluice_edge_${name}`, help, read),
  };
}
export type EdgeMetrics = ReturnType<typeof edgeMetrics>;
