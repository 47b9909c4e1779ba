/** Everything that is known of a run, and what is wrong with what is seen of it. */
import type { Excuses } from '../faults/fault.ts';
import type { Failure } from '../readers.ts';
import { type Floor, judgeAnswer } from './answer-judge.ts';
import { Invalidations } from './invalidations.ts';
import { KeyHistory } from './key-history.ts';
import { isHit, type Observation, type Violation } from './observation.ts';

/** What is shown of each invariant in a run that goes wrong all the time: one that is broken with every answer must not hide another. */
const VIOLATIONS_MAX_OF_EACH = 50;
/** For so long after a fault has healed its consequences are excused: reconnecting, leases, restarts, a catch-up. */
export const RECOVERY_MS = 12_000;
/** A small upload that nothing is in the way of does not take longer. */
const UPLOAD_MAX_MS = 10_000;

interface Suspect {
  readonly seen: Observation;
  readonly tags: readonly string[];
}

interface Window {
  readonly fromMs: number;
  /** Undefined: it lasts. */
  healedAtMs: number | undefined;
  readonly excuses: Excuses;
}

export class Checker {
  readonly violations: Violation[] = [];
  readonly invalidations = new Invalidations();
  reads = 0;
  excused = 0;
  readonly #histories = new Map<string, KeyHistory>();
  readonly #floors = new Map<string, Floor>();
  readonly #windows: Window[] = [];
  /** By edge and key: requests under way, and answers that are wrong unless one of those asks the origin. */
  readonly #underWay = new Map<string, { requests: number; readonly suspects: Suspect[] }>();

  history(key: string): KeyHistory {
    const known = this.#histories.get(key);
    if (known !== undefined) return known;
    const history = new KeyHistory();
    this.#histories.set(key, history);
    return history;
  }

  /** A fault is about to strike. @returns what is to be called when it has healed */
  struck(excuses: Excuses, atMs: number): (healedAtMs: number) => void {
    const window: Window = { fromMs: atMs, healedAtMs: undefined, excuses };
    this.#windows.push(window);
    this.#forget(excuses);
    return (healedAtMs) => {
      window.healedAtMs = healedAtMs;
      this.#forget(excuses);
    };
  }

  /** What was confirmed before counts no longer. */
  #forget({ forgotten = [], events }: Excuses): void {
    for (const edge of forgotten) this.invalidations.forget(edge);
    if (events) this.invalidations.forgetAll();
  }

  /** A request is sent: what is known of this edge and key then. Each has to end with {@link answered} or {@link failed}. */
  begin(edge: string, key: string): Floor {
    const name = `${edge} ${key}`;
    const underWay = this.#underWay.get(name) ?? { requests: 0, suspects: [] };
    underWay.requests += 1;
    this.#underWay.set(name, underWay);
    return this.#floors.get(name) ?? { index: 0, version: 0 };
  }

  /** A request that is judged elsewhere has ended. */
  ended(edge: string, key: string, atMs: number): void {
    this.invalidations.mayHaveAsked(edge, key, atMs);
    this.#ended(edge, key);
  }

  /** What was served unasked may have been asked for by a request that has no answer yet: only when there is none under way it is certain. */
  #ended(edge: string, key: string): void {
    const name = `${edge} ${key}`;
    const underWay = this.#underWay.get(name);
    if (underWay === undefined) return;
    underWay.requests -= 1;
    if (underWay.requests > 0) return;
    this.#underWay.delete(name);
    for (const { seen, tags } of underWay.suspects) {
      const unasked = this.invalidations.judge(seen, tags);
      if (unasked !== undefined) this.accuse(unasked);
    }
  }

  answered(seen: Observation, floor: Floor): void {
    this.reads += 1;
    this.#judge(seen, floor);
    this.#ended(seen.edge, seen.key);
  }

  #judge(seen: Observation, floor: Floor): void {
    const history = this.history(seen.key);
    const verdict = judgeAnswer(seen, history, floor);
    if (!verdict.ok) {
      this.accuse(verdict.violation);
      // The edge has asked all the same: the hits that follow are not wrong because of that.
      if (!isHit(seen)) this.invalidations.mayHaveAsked(seen.edge, seen.key, seen.endedAtMs);
      return;
    }
    const name = `${seen.edge} ${seen.key}`;
    const known = this.#floors.get(name);
    this.#floors.set(name, {
      index: Math.max(known?.index ?? 0, verdict.floor.index),
      version: Math.max(known?.version ?? 0, verdict.floor.version),
    });
    const tags = history.states[verdict.floor.index]?.tags ?? [];
    if (this.invalidations.judge(seen, tags) !== undefined) this.#underWay.get(name)?.suspects.push({ seen, tags });
  }

  failed(failure: Failure): void {
    const { edge, key, startedAtMs, endedAtMs, status, what } = failure;
    this.ended(edge, key, endedAtMs);
    // What it does not hold it has to ask for, and says when nobody answers.
    const isMiss = status !== undefined && status >= 502;
    const isExcused = this.#windowsAt(startedAtMs, endedAtMs).some(
      ({ unavailable, uploads, delivery }) => unavailable?.includes(edge) || (isMiss && (uploads || delivery)),
    );
    if (isExcused) this.excused += 1;
    else
      this.accuse({
        invariant: 'availability',
        atMs: endedAtMs,
        edge,
        key,
        what: `no answer after ${endedAtMs - startedAtMs} ms: ${what}`,
      });
  }

  /** An upload of little was accepted. */
  uploaded(key: string, beganAtMs: number, endedAtMs: number): void {
    if (endedAtMs - beganAtMs <= UPLOAD_MAX_MS) return;
    if (this.#windowsAt(beganAtMs, endedAtMs).some(({ uploads }) => uploads)) return;
    this.accuse({ invariant: 'isolation', atMs: endedAtMs, key, what: `an upload took ${endedAtMs - beganAtMs} ms` });
  }

  /** Whether a process may have ended by itself. */
  mayEnd(name: string, atMs: number): boolean {
    return this.#windowsAt(atMs, atMs).some(({ unavailable, uploads }) => unavailable?.includes(name) || (name === 'origin' && uploads));
  }

  /** Notes it, as long as not too many of its invariant are noted already. */
  accuse(violation: Violation): void {
    const alike = this.violations.filter(({ invariant }) => invariant === violation.invariant).length;
    if (alike < VIOLATIONS_MAX_OF_EACH) this.violations.push(violation);
  }

  #windowsAt(fromMs: number, untilMs: number): Excuses[] {
    return this.#windows
      .filter((window) => window.fromMs <= untilMs && (window.healedAtMs === undefined || fromMs <= window.healedAtMs + RECOVERY_MS))
      .map(({ excuses }) => excuses);
  }
}
