/** Hears the edges: registrations, heartbeats, goodbyes and silence. Opens and closes their channels. */
import type { Bus } from '@sluice/bus';
import { controllerRegister, type EdgeReport, edgeHeartbeat, type RegisterReply, SluiceError } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import type { Lease, LeaseTable } from '../domain/lease-table.ts';
import type { ControllerMetrics } from '../metrics.ts';
import type { LiveEdges } from '../ports.ts';
import type { Pusher } from '../services/pusher.ts';

const SWEEP_INTERVAL_MAX_MS = 500;
/** On top of one heartbeat interval: by then every edge that is alive has been heard. */
const WARM_UP_EXTRA_MS = 250;

export interface PresenceOptions {
  readonly heartbeatMs: number;
  readonly leaseMs: number;
}

export interface PresenceDeps {
  readonly bus: Pick<Bus, 'serve' | 'subscribe' | 'onReconnect' | 'publish' | 'flush' | 'connected'>;
  readonly table: LeaseTable;
  readonly pusher: Pick<Pusher, 'open' | 'close'>;
  readonly metrics: ControllerMetrics;
  readonly log: Logger;
  readonly clock: Clock;
}

export class EdgePresence implements LiveEdges {
  readonly #options: PresenceOptions;
  readonly #deps: PresenceDeps;
  readonly #sweepIntervalMs: number;
  readonly #undo: (() => void)[] = [];
  #cancelSweep: () => void = () => {};
  #sweptMs: number;
  #settledMs = 0;

  constructor(options: PresenceOptions, deps: PresenceDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#sweepIntervalMs = Math.min(SWEEP_INTERVAL_MAX_MS, options.leaseMs / 4);
    this.#sweptMs = deps.clock.monotonicMs();
  }

  start(): void {
    const { bus } = this.#deps;
    this.#undo.push(
      bus.serve(controllerRegister('*'), (report, subject) => this.#register(report, subject), { queue: 'controllers' }),
      bus.subscribe(edgeHeartbeat('*'), (report, subject) => this.#heartbeat(report, subject)),
      bus.onReconnect(() => this.#listenAnew()),
    );
    this.#listenAnew();
    this.#scheduleSweep();
  }

  stop(): void {
    for (const undo of this.#undo.splice(0)) undo();
    this.#cancelSweep();
  }

  /** The edges that are alive now. Ask after {@link settled}. */
  live(): Lease[] {
    return this.#deps.table.live(this.#deps.clock.monotonicMs());
  }

  /**
   * Resolves when the controller has listened long enough to know every live edge: after the start and after each time it was deaf. Who
   * plans earlier plans for nobody.
   */
  async settled(): Promise<void> {
    for (;;) {
      const leftMs = this.#settledMs - this.#deps.clock.monotonicMs();
      if (leftMs <= 0) return;
      await new Promise<void>((resolve) => this.#deps.clock.after(leftMs, resolve));
    }
  }

  /** Nothing was heard for a while, and that says nothing about the edges: they keep their leases and are waited for. */
  #listenAnew(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#settledMs = nowMs + this.#options.heartbeatMs + WARM_UP_EXTRA_MS;
    this.#deps.table.renewAll(nowMs);
  }

  async #register(report: EdgeReport, subject: string): Promise<RegisterReply> {
    const { bus } = this.#deps;
    if (subject !== controllerRegister(report.id).subject) {
      throw new SluiceError('WRONG_EDGE', `${subject} is not where edge "${report.id}" registers`);
    }
    if (this.#observe(report) === 'refused') {
      throw new SluiceError('TOO_MANY_EDGES', 'the controller has no room for another edge; raise CONTROLLER_EDGES_MAX', {
        retryable: true,
      });
    }
    // One controller of the group gets a registration; with this heartbeat all of them know the edge before it is told so.
    bus.publish(edgeHeartbeat(report.id), report);
    await bus.flush();
    return { ok: true, heartbeatMs: this.#options.heartbeatMs, leaseMs: this.#options.leaseMs };
  }

  #heartbeat(report: EdgeReport, subject: string): void {
    if (subject === edgeHeartbeat(report.id).subject) this.#observe(report);
    else this.#deps.log.warn({ subject, edge: report.id }, 'heartbeat ignored: its subject names another edge');
  }

  #observe(report: EdgeReport): string {
    const { table, pusher, metrics, log, clock } = this.#deps;
    const observation = table.observe(report, clock.monotonicMs());
    const edge = { edge: report.id, region: report.region, instance: report.instance };
    switch (observation.kind) {
      case 'joined':
      case 'replaced':
        pusher.open(report);
        log.info({ ...edge, url: report.url }, observation.kind === 'joined' ? 'edge joined' : 'edge restarted');
        break;
      case 'left':
        pusher.close(report.id, 'the edge said goodbye');
        log.info(edge, 'edge left');
        break;
      case 'conflict':
        metrics.edgeConflicts.inc();
        if (observation.first) log.error(edge, 'two live processes use one edge id; give each its own EDGE_ID');
        break;
      case 'refused':
        metrics.reportsRefused.inc();
        break;
    }
    return observation.kind;
  }

  #scheduleSweep(): void {
    this.#cancelSweep = this.#deps.clock.after(this.#sweepIntervalMs, () => {
      this.#sweep();
      this.#scheduleSweep();
    });
  }

  #sweep(): void {
    const { bus, table, pusher, metrics, log, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    const lateMs = nowMs - this.#sweptMs - this.#sweepIntervalMs;
    this.#sweptMs = nowMs;
    // Heartbeats may lie unread in the socket after a pause of this process, and none come while the broker is away.
    if (lateMs > this.#options.leaseMs / 2) {
      log.warn({ lateMs }, 'the controller was paused');
      this.#listenAnew();
    }
    if (!bus.connected) return;
    for (const { id, region } of table.sweep(nowMs)) {
      pusher.close(id, 'the lease of the edge ended');
      metrics.leaseExpiries.inc();
      log.warn({ edge: id, region }, 'edge expired');
    }
  }
}
