/** Gathers what the status API shows. */
import type { Clock } from '@sluice/runtime';
import type { Distribution } from '../domain/distribution.ts';
import type { LeaseTable } from '../domain/lease-table.ts';
import type { Pusher } from '../services/pusher.ts';
import type { DistributionStatus, EdgeStatus, StatusView } from '../status.ts';
import type { ContentIntake } from './content-intake.ts';
import type { OutcomeJournal } from './outcome-journal.ts';

export interface ViewDeps {
  readonly clock: Clock;
  readonly table: LeaseTable;
  readonly journal: OutcomeJournal;
  /** Undefined until the broker is there. */
  readonly pusher: () => Pusher | undefined;
  readonly intake: () => ContentIntake | undefined;
}

export function createStatusView(deps: ViewDeps): StatusView & { edgesByRegion(): ReadonlyMap<string, number> } {
  const { clock, table, journal } = deps;
  const distributing = (distribution: Distribution): DistributionStatus => ({
    status: 'distributing',
    ...distribution.message(clock.monotonicMs()),
    pending: distribution.pending,
  });
  return {
    edges: () => edgeStatuses(deps),
    edgesByRegion: () =>
      table
        .live(clock.monotonicMs())
        .reduce((counts, { report: { region } }) => counts.set(region, (counts.get(region) ?? 0) + 1), new Map<string, number>()),
    distribution(id) {
      const known = journal.get(id);
      if (known !== undefined) return { status: 'distributed', ...known };
      const distribution = deps.intake()?.inWork(id);
      return distribution === undefined ? undefined : distributing(distribution);
    },
    distributions(limit) {
      const inWork = (deps.intake()?.allInWork() ?? []).slice(-limit).reverse().map(distributing);
      const known = journal.newest(limit).map((message) => ({ status: 'distributed', ...message }) as const);
      return [...inWork, ...known].slice(0, limit);
    },
  };
}

function edgeStatuses({ clock, table, pusher }: ViewDeps): EdgeStatus[] {
  const nowMs = clock.monotonicMs();
  return table
    .live(nowMs)
    .map(({ report, lastSeenMs, expiresMs }) => ({
      ...report,
      leaseRemainingMs: Math.round(expiresMs - nowMs),
      ...(pusher()?.load(report.id) ?? { queued: 0, inFlight: 0 }),
      lastSeenAt: new Date(clock.nowMs() - (nowMs - lastSeenMs)).toISOString(),
    }))
    .sort((a, b) => (a.region === b.region ? compare(a.id, b.id) : compare(a.region, b.region)));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
