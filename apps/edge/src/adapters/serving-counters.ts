/** What one serving thread counts, in shared memory: each thread writes numbers of its own, the metrics add them up. */
import { REQUEST_RESULTS, type RequestResult } from '../metrics.ts';

const OTHERS = ['sentBytes', 'brokenBodies', 'trialBytes'] as const;
const AT = Object.fromEntries([...REQUEST_RESULTS, ...OTHERS].map((name, at) => [name, at])) as Record<CounterName, number>;
export type CounterName = RequestResult | (typeof OTHERS)[number];

export class ServingCounters {
  /** For {@link ServingCounters} in another thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #numbers: Float64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8 * Object.keys(AT).length)) {
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
