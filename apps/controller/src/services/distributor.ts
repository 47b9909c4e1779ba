/** Brings one event to the edges: reads the truth, plans, pushes, and collects what became of it. */
import { describeSelector, type PushCommand, SluiceError } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import type { Confirmations } from '../domain/confirmations.ts';
import type { ContentEvent, InvalidationEvent, KeyEvent } from '../domain/content-event.ts';
import type { Distribution, PushResult } from '../domain/distribution.ts';
import { KeyRounds } from '../domain/key-rounds.ts';
import { alreadyCurrent, emptyRegions, type KeyState, type PlanEdge, type PlannedPush, plan, planInvalidation } from '../domain/planner.ts';
import type { ControllerMetrics } from '../metrics.ts';
import type { LiveEdges, OriginReader } from '../ports.ts';
import { isCarriedOut } from './push-attempts.ts';
import type { Pusher } from './pusher.ts';

/** How the work on an event ended. `later`: it could not be done now and nothing was decided; try again. */
export type Disposition =
  | { readonly kind: 'distributed' }
  | { readonly kind: 'rejected'; readonly reason: string }
  | { readonly kind: 'later'; readonly error: unknown };

const DISTRIBUTED: Disposition = { kind: 'distributed' };
const ALREADY_CURRENT: PushResult = { outcome: 'current', bytes: 0, attempts: 0 };

export interface DistributorDeps {
  readonly presence: LiveEdges;
  readonly origin: OriginReader;
  readonly pusher: Pick<Pusher, 'push' | 'admit'>;
  readonly confirmations: Confirmations;
  readonly isDeltaCandidate: (baseBytes: number, targetBytes: number) => boolean;
  readonly metrics: ControllerMetrics;
  readonly log: Logger;
  readonly clock: Clock;
}

/** A key's event on its way. */
interface Wake {
  readonly event: KeyEvent;
  readonly distribution: Distribution;
  readonly end: (disposition: Disposition) => void;
}

type LiveEdge = PlanEdge & { readonly instance: string };

export class Distributor {
  readonly #deps: DistributorDeps;
  readonly #rounds: KeyRounds<Wake>;

  constructor(options: { readonly maxRounds: number }, deps: DistributorDeps) {
    this.#deps = deps;
    this.#rounds = new KeyRounds(options.maxRounds, (key, wakes) => this.#round(key, wakes));
  }

  /** Resolves when every live target has answered or was given up. Never rejects. `distribution` shows the progress. */
  distribute(event: ContentEvent, distribution: Distribution): Promise<Disposition> {
    if (event.kind !== 'invalidated') return new Promise((end) => this.#rounds.add(event.key, { event, distribution, end }));
    return this.#invalidate(event, distribution).catch((error: unknown) => ({ kind: 'later', error }));
  }

  /**
   * One round of a key: everything that woke it until now is answered with one plan. The round ends when the commands are queued, not when
   * the edges have answered, so a slow edge does not hold back the next version from the others.
   */
  async #round(key: string, wakes: readonly Wake[]): Promise<void> {
    const queued = await this.#deps.pusher.admit();
    try {
      await this.#deps.presence.settled();
      // What is pushed again is likely held already: then nothing but the question is sent.
      const withContent = !wakes.some(({ event }) => event.again);
      const state = await this.#deps.origin.stateOf(key, withContent, Math.max(...wakes.map(({ event }) => event.version)));
      this.#deps.metrics.rounds.inc();
      this.#distributeState(key, state, wakes);
    } catch (error) {
      const refused = error instanceof SluiceError && !error.retryable;
      const disposition: Disposition = refused
        ? { kind: 'rejected', reason: `the origin refused: ${error.message}` }
        : { kind: 'later', error };
      for (const { end } of wakes) end(disposition);
    } finally {
      queued();
    }
  }

  #distributeState(key: string, state: KeyState | undefined, wakes: readonly Wake[]): void {
    const usable = wakes.filter(({ event, end }) => {
      const reason = whyUnusable(event, state);
      if (reason !== undefined) end({ kind: 'rejected', reason });
      return reason === undefined;
    });
    const newest = usable.reduce<Wake | undefined>(
      (best, wake) => ((best?.event.version ?? 0) < wake.event.version ? wake : best),
      undefined,
    );
    if (state === undefined || newest === undefined) return;
    const edges = this.#liveEdges((edge) => this.#deps.confirmations.of(edge, key));
    const again = usable.some(({ event }) => event.again);
    const pushes = plan(state, edges, { isDeltaCandidate: this.#deps.isDeltaCandidate, again });
    const current = again ? [] : alreadyCurrent(state, edges);
    const empty = emptyRegions(state, edges);
    if (empty.length > 0) this.#deps.log.warn({ key, emptyRegions: empty }, 'no live edge in a region of the placement');
    const targets = targetsOf(edges, [...pushes.map(({ edge }) => edge), ...current.map(({ id }) => id)]);
    const nowMs = this.#deps.clock.monotonicMs();
    for (const { distribution } of usable) {
      distribution.plan({ version: state.version, targets, emptyRegions: empty });
      for (const { id } of current) distribution.settle(id, ALREADY_CURRENT, nowMs);
    }
    const distributions = usable.map(({ distribution }) => distribution);
    void this.#pushAll(newest.event.id, pushes, edges, distributions, again).then(() => {
      for (const { end } of usable) end(DISTRIBUTED);
    });
  }

  async #invalidate(event: InvalidationEvent, distribution: Distribution): Promise<Disposition> {
    const queued = await this.#deps.pusher.admit();
    let pushed: Promise<void>;
    try {
      await this.#deps.presence.settled();
      const reason = await this.#whyBeyond(event);
      if (reason !== undefined) return { kind: 'rejected', reason };
      pushed = this.#pushInvalidation(event, distribution);
    } finally {
      queued();
    }
    await pushed;
    return DISTRIBUTED;
  }

  /**
   * Why an invalidation's version cannot be the origin's: what the origin says would be older than it, and no edge could confirm anything that it covers.
   * One message there and back, 0.5 ms; an origin that cannot be asked holds no invalidation up.
   */
  async #whyBeyond(event: InvalidationEvent): Promise<string | undefined> {
    const newest = await this.#deps.origin.newestVersion(event.version);
    if (newest === undefined || event.version <= newest) return undefined;
    return `version: the origin has come to ${newest} only; leave out "version" to invalidate by hand`;
  }

  #pushInvalidation(event: InvalidationEvent, distribution: Distribution): Promise<void> {
    const edges = this.#liveEdges(() => undefined);
    const { selector, version, mode, signature } = event;
    const signed = signature === undefined ? {} : { signature };
    const command = { op: 'invalidate', ...selector, version, mode, ...signed } as const;
    const pushes = planInvalidation(command, edges);
    const ids = pushes.map(({ edge }) => edge);
    distribution.plan({ version: event.version, targets: targetsOf(edges, ids), emptyRegions: [] });
    return this.#pushAll(event.id, pushes, edges, [distribution], false);
  }

  #liveEdges(holds: (edge: { id: string; instance: string }) => PlanEdge['holds']): LiveEdge[] {
    return this.#deps.presence
      .live()
      .map(({ report: { id, instance, region } }) => ({ id, instance, region, holds: holds({ id, instance }) }));
  }

  async #pushAll(
    eventId: string,
    pushes: readonly PlannedPush[],
    edges: readonly LiveEdge[],
    distributions: readonly Distribution[],
    again: boolean,
  ): Promise<void> {
    const byId = new Map(edges.map((edge) => [edge.id, edge]));
    const commands = new Map<PlannedPush['command'], PushCommand>();
    for (const { command } of pushes) if (!commands.has(command)) commands.set(command, { ...command, eventId });
    await Promise.all(
      pushes.map(async ({ edge: id, command: planned }) => {
        const edge = byId.get(id);
        const command = commands.get(planned);
        if (edge === undefined || command === undefined) return;
        const result = await this.#deps.pusher.push(edge, command, again);
        if (isCarriedOut(result)) this.#deps.confirmations.note(edge, command);
        const nowMs = this.#deps.clock.monotonicMs();
        for (const distribution of distributions) distribution.settle(id, result, nowMs);
      }),
    );
  }
}

/** Why the truth does not bear an event out; undefined when it does. An origin that had not come so far would have caught up before it answered. */
function whyUnusable(event: KeyEvent, state: KeyState | undefined): string | undefined {
  if (state === undefined) return `key: the origin does not know ${event.key}`;
  if (state.version >= event.version) return undefined;
  return `version: the origin has version ${state.version} of ${event.key} and has never had ${event.version}`;
}

function targetsOf(edges: readonly PlanEdge[], ids: readonly string[]): { edge: string; region: string }[] {
  const wanted = new Set(ids);
  return edges.filter(({ id }) => wanted.has(id)).map(({ id, region }) => ({ edge: id, region }));
}

/** What a distribution is called in its outcome. */
export function subjectOf(event: ContentEvent): string {
  return event.kind === 'invalidated' ? describeSelector(event.selector) : event.key;
}
