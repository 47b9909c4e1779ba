/** Names in the order of what is listed under them, sorted piece by piece: at once a million of them would hold up everything else for seconds. */
import { compareUtf8 } from '../../domain/key-order.ts';

const RUN = 4_096;

export interface ListedName {
  readonly name: string;
  /** What keys continue with: "/" after a directory, so that `a-b` comes before `a/b`. */
  readonly isDirectory: boolean;
}

export class SortedNames {
  /** Each sorted, each at least twice as long as the next. */
  readonly #runs: ListedName[][] = [];
  #incoming: ListedName[] = [];

  add(name: ListedName): void {
    this.#incoming.push(name);
    if (this.#incoming.length === RUN) this.#settle();
  }

  take(): readonly ListedName[] {
    this.#settle();
    return this.#runs.reduceRight((all, run) => merged(run, all), []);
  }

  #settle(): void {
    let run = this.#incoming.sort(inOrder);
    this.#incoming = [];
    for (let last = this.#runs.at(-1); last !== undefined && last.length <= run.length; last = this.#runs.at(-1)) {
      this.#runs.pop();
      run = merged(last, run);
    }
    this.#runs.push(run);
  }
}

function inOrder(a: ListedName, b: ListedName): number {
  return compareUtf8(ended(a), ended(b));
}

function ended({ name, isDirectory }: ListedName): string {
  return isDirectory ? `${name}/` : name;
}

function merged(left: readonly ListedName[], right: readonly ListedName[]): ListedName[] {
  const all: ListedName[] = [];
  let at = 0;
  for (const name of right) {
    for (let next = left[at]; next !== undefined && inOrder(next, name) <= 0; next = left[++at]) all.push(next);
    all.push(name);
  }
  for (; at < left.length; at++) all.push(left[at] as ListedName);
  return all;
}
