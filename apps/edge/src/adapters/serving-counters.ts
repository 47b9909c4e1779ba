/** What one serving thread counts, in shared memory: each thread writes numbers of its own, the metrics add them up. */
import { type CounterName, SERVING_COUNTERS } from '../metrics.ts';

const AT = Object.fromEntries(SERVING_COUNTERS.map((name, at) => [name, at])) as Record<CounterName, number>;

export class ServingCounters {
  /** For {@link ServingCounters} in another thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #numbers: Float64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8 * SERVING_COUNTERS.length)) {
    this.buffer = buffer;
    this.#numbers = new Float64Array(buffer);
  }

  get(name: CounterName): number {
    return this.#numbers[AT[name]] as number;
  }
  add(name: CounterName, amount = 1): void {
    (this.#numbers[AT[name]] as number) += amount;
  }
  set(name: CounterName, value: number): void {
    this.#numbers[AT[name]] = value;
  }
}
