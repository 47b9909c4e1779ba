/** Makes the edge known: registers, sends heartbeats, says goodbye. */
import type { Bus } from '@sluice/bus';
import { controllerRegister, type EdgeReport, edgeHeartbeat } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';

const REGISTER_TIMEOUT_MS = 2_000;
/** Until a controller says otherwise. */
const HEARTBEAT_DEFAULT_MS = 1_000;
export const REGISTER_RETRY_MS = 1_000;

export class Presence {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #report: (draining: boolean) => EdgeReport;
  #heartbeatMs = HEARTBEAT_DEFAULT_MS;
  #cancelHeartbeat: () => void = () => {};
  #cancelRegister: () => void = () => {};
  #registered = false;
  /** Counts attempts to register. One that a reconnection has overtaken has no say: its retries would come on top of the other's. */
  #attempt = 0;
  #leaving = false;

  constructor(parts: { bus: Bus; clock: Clock; log: Logger; report: (draining: boolean) => EdgeReport }) {
    this.#bus = parts.bus;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#report = parts.report;
  }

  /** Whether a controller has answered since the last (re)connection. */
  get registered(): boolean {
    return this.#registered;
  }

  /** Begins heartbeats, registers, and keeps trying until a controller answers; `onRegistered` follows each success. */
  async announce(onRegistered: () => void): Promise<void> {
    this.#cancelRegister();
    this.#registered = false;
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#beat();
    try {
      const report = this.#report(false);
      const reply = await this.#bus.request(controllerRegister(report.id), report, { timeoutMs: REGISTER_TIMEOUT_MS });
      if (attempt !== this.#attempt) return;
      this.#registered = true;
      this.#heartbeatMs = reply.heartbeatMs;
      this.#log.info({ heartbeatMs: reply.heartbeatMs, leaseMs: reply.leaseMs }, 'registered');
      onRegistered();
    } catch (err) {
      this.#log.debug({ err }, 'no controller has answered yet');
      if (!this.#leaving && attempt === this.#attempt)
        this.#cancelRegister = this.#clock.after(REGISTER_RETRY_MS, () => void this.announce(onRegistered));
    }
  }

  #beat(): void {
    this.#cancelHeartbeat();
    if (this.#leaving) return;
    const { id } = this.#report(false);
    this.#bus.publish(edgeHeartbeat(id), this.#report(false));
    this.#cancelHeartbeat = this.#clock.after(this.#heartbeatMs, () => this.#beat());
  }

  /** Leaves every plan at once. */
  async leave(): Promise<void> {
    this.#leaving = true;
    this.#cancelHeartbeat();
    this.#cancelRegister();
    if (!this.#bus.connected) return;
    const report = this.#report(true);
    this.#bus.publish(edgeHeartbeat(report.id), report);
    await this.#bus.flush();
  }
}
