/** What the status API shows. */
import type { ContentDistributed, EdgeReport } from '@sluice/contracts';
import type { Target } from './domain/distribution.ts';

/** One element of `GET /edges`. */
export type EdgeStatus = EdgeReport & {
  readonly leaseRemainingMs: number;
  /** Commands that wait for this edge, and those on their way to it. */
  readonly queued: number;
  readonly inFlight: number;
  /** RFC 3339. */
  readonly lastSeenAt: string;
};

/** `GET /distributions/<event id>`: while under way with the outcomes so far and the targets that are awaited. */
export type DistributionStatus =
  | (ContentDistributed & { readonly status: 'distributed' })
  | (ContentDistributed & { readonly status: 'distributing'; readonly pending: readonly Target[] });

export interface StatusView {
  edges(): EdgeStatus[];
  /** Undefined for an event that is not known (any more). */
  distribution(id: string): DistributionStatus | undefined;
  /** Newest first. */
  distributions(limit: number): DistributionStatus[];
}
