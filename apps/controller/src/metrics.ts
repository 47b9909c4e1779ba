/** What the controller counts. */
import { CONTENT_INVALIDATED, CONTENT_REMOVED, CONTENT_UPLOADED, edgeOutcome } from '@sluice/contracts';
import { type Counter, counter, durationHistogram, Gauge, gauge, type Histogram, type Registry } from '@sluice/runtime';

export interface ControllerMetrics {
  readonly leaseExpiries: Counter;
  readonly edgeConflicts: Counter;
  readonly reportsRefused: Counter;
  readonly pushes: Counter<'outcome'>;
  readonly pushDuration: Histogram;
  readonly pushRetries: Counter;
  readonly deferred: Counter<'reason'>;
  readonly distributions: Counter<'completeness'>;
  readonly events: Counter<'subject'>;
  readonly eventsIgnored: Counter;
  readonly eventsRejected: Counter;
  readonly eventsPostponed: Counter;
  readonly eventLag: Histogram;
  readonly rounds: Counter;
}

/** Why a command was not sent. */
export const DEFERRED_REASONS = ['queue_full', 'waited_too_long', 'silent'] as const;
export type DeferredReason = (typeof DEFERRED_REASONS)[number];

const SUBJECTS = [CONTENT_UPLOADED.subject, CONTENT_INVALIDATED.subject, CONTENT_REMOVED.subject];

export function createControllerMetrics(registry: Registry): ControllerMetrics {
  const name = (what: string): string => `sluice_controller_${what}`;
  return {
    leaseExpiries: counter(registry, name('lease_expiries_total'), 'Edges forgotten because their heartbeats stopped'),
    edgeConflicts: counter(registry, name('edge_conflicts_total'), 'Reports of an edge id that two live processes use'),
    reportsRefused: counter(registry, name('edge_reports_refused_total'), 'Reports of edges for which the table had no room'),
    pushes: counter(
      registry,
      name('pushes_total'),
      'Commands to edges by what became of them',
      'outcome',
      edgeOutcome.shape.outcome.options,
    ),
    pushDuration: durationHistogram(registry, name('push_duration_seconds'), 'From the decision to push until the outcome of one edge'),
    pushRetries: counter(registry, name('push_retries_total'), 'Repeated attempts of pushes'),
    deferred: counter(registry, name('pushes_deferred_total'), 'Commands left to the catch-up of their edge', 'reason', DEFERRED_REASONS),
    distributions: counter(registry, name('distributions_total'), 'Finished distributions', 'completeness', ['complete', 'incomplete']),
    events: counter(registry, name('events_total'), 'Events read that are to be distributed', 'subject', SUBJECTS),
    eventsIgnored: counter(registry, name('events_ignored_total'), 'Events that are the origin’s to handle, or known already'),
    eventsRejected: counter(registry, name('events_rejected_total'), 'Events that nobody can use'),
    eventsPostponed: counter(registry, name('events_postponed_total'), 'Events put back because the origin or the broker was away'),
    eventLag: durationHistogram(registry, name('event_lag_seconds'), 'From the instant in an event until the controller read it'),
    rounds: counter(registry, name('rounds_total'), 'Plans made for a key; fewer than events, because events of one key coalesce'),
  };
}

/** State that is read when the metrics are asked for. */
export interface ControllerGauges {
  /** Live edges by region. */
  readonly edgesByRegion: () => ReadonlyMap<string, number>;
  /** Commands waiting, one number for each edge. */
  readonly queueLengths: () => readonly number[];
  readonly eventsInWork: () => number;
}

export function registerGauges(registry: Registry, read: ControllerGauges): void {
  new Gauge({
    name: 'sluice_controller_edges',
    help: 'Live edges',
    labelNames: ['region'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [region, edges] of read.edgesByRegion()) this.set({ region }, edges);
    },
  });
  const sum = (): number => read.queueLengths().reduce((total, length) => total + length, 0);
  gauge(registry, 'sluice_controller_queued_commands', 'Commands waiting, over all edges', sum);
  gauge(registry, 'sluice_controller_longest_queue', 'Commands waiting for the edge with the most', () =>
    read.queueLengths().reduce((longest, length) => Math.max(longest, length), 0),
  );
  gauge(registry, 'sluice_controller_events_in_work', 'Events read and not yet distributed', read.eventsInWork);
}
