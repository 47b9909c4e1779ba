import type { PushCommand } from '@sluice/contracts';
import { LRUCache } from 'lru-cache';
import type { Holding } from './planner.ts';

/**
 * What edges have confirmed of which keys, as far as remembered: the newest `maxPairs` pairs of edge and key. Forgetting costs a push
 * that changes nothing. What an instance confirmed says nothing of the next one under the same id: its disk may be another.
 */
export class Confirmations {
  readonly #holdings: LRUCache<string, Holding>;

  constructor(maxPairs: number) {
    this.#holdings = new LRUCache({ max: maxPairs });
  }

  get size(): number {
    return this.#holdings.size;
  }

  /** Notes that an edge carried out `command`. An older version than the one noted changes nothing. */
  note(edge: { readonly id: string; readonly instance: string }, command: PushCommand): void {
    if (command.op === 'invalidate') return;
    const present = command.op === 'store';
    const { key, version } = present ? command.manifest : command;
    const pair = pairOf(edge, key);
    if ((this.#holdings.get(pair)?.version ?? 0) <= version) this.#holdings.set(pair, { version, present });
  }

  /** What this instance has confirmed of `key`, if remembered. */
  of(edge: { readonly id: string; readonly instance: string }, key: string): Holding | undefined {
    return this.#holdings.get(pairOf(edge, key));
  }
}

/** Neither an edge id nor an instance can contain a space. */
function pairOf(edge: { readonly id: string; readonly instance: string }, key: string): string {
  return `${edge.id} ${edge.instance} ${key}`;
}
