import { type Scope, scopeText, signingKey } from '@sluice/sigv4';
import { LRUCache } from 'lru-cache';

/** A key has one for each day and region that it is used with. */
export const SIGNING_KEYS_MAX = 256;

/** Derived keys that were used lately: to derive one takes longer than to check a signature with it. */
export class SigningKeys {
  /** By secret and scope, so that one of a secret that was replaced is never found again. */
  readonly #known = new LRUCache<string, Buffer>({ max: SIGNING_KEYS_MAX });

  get size(): number {
    return this.#known.size;
  }

  of(secret: string, scope: Scope): Buffer {
    const name = `${secret}\n${scopeText(scope)}`;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const key = signingKey(secret, scope);
    this.#known.set(name, key);
    return key;
  }
}
