import type { Manifest } from '@sluice/contracts';
import { describe, expect, test } from 'vitest';
import { Confirmations } from './confirmations.ts';

const edge = { id: 'us-1', instance: 'a' };
const store = (key: string, version: number) =>
  ({ op: 'store', eventId: 'e', manifest: { key, version } as Manifest, transfer: { kind: 'full' } }) as const;
const remove = (key: string, version: number) => ({ op: 'remove', eventId: 'e', key, version, reason: 'deleted' }) as const;

describe('confirmations', () => {
  test('the newest version that an instance confirmed is remembered, and whether it holds it', () => {
    const confirmations = new Confirmations(10);
    confirmations.note(edge, store('site/a', 5));
    confirmations.note(edge, store('site/a', 4));
    expect(confirmations.of(edge, 'site/a')).toEqual({ version: 5, present: true });
    confirmations.note(edge, remove('site/a', 6));
    expect(confirmations.of(edge, 'site/a')).toEqual({ version: 6, present: false });
  });

  test('what one instance confirmed says nothing of the next', () => {
    const confirmations = new Confirmations(10);
    confirmations.note(edge, store('site/a', 5));
    expect(confirmations.of({ ...edge, instance: 'b' }, 'site/a')).toBeUndefined();
  });

  test('ten times as many pairs as fit: exactly the newest are remembered', () => {
    const confirmations = new Confirmations(100);
    for (let index = 0; index < 1_000; index += 1) confirmations.note(edge, store(`site/${index}`, 1));
    expect(confirmations.size).toBe(100);
    expect(confirmations.of(edge, 'site/899')).toBeUndefined();
    expect(confirmations.of(edge, 'site/900')).toBeDefined();
  });
});
