import type { Manifest, PushCommand, Signature } from '@sluice/contracts';
import { generateSigningKey, parsePublicKeys, parseSigningKey, type Statement, signReply, signStatement } from '@sluice/signing';
import { FakeClock } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { manifestOf } from '../domain/history.fixture.ts';
import { COMPLAINT_REST_MS, OriginTrust } from './origin-trust.ts';

const pair = generateSigningKey();
const key = parseSigningKey(pair.privatePem);
const signed = (statement: Statement): { signature: Signature } => ({ signature: signStatement(key, statement) });

function stage() {
  const clock = new FakeClock();
  const said: object[] = [];
  const refused: string[] = [];
  const state = { caughtUp: true, early: 0, publicKeys: parsePublicKeys(pair.publicPem) };
  const trust = new OriginTrust({
    ...{ clock, region: 'US', index: { watermark: 50 } },
    publicKeys: () => state.publicKeys,
    hasCaughtUp: () => state.caughtUp,
    onEarly: () => {
      state.early += 1;
    },
    onRefused: (reason) => refused.push(reason),
    log: { error: (fields: object) => said.push(fields) } as never,
  });
  return { trust, clock, said, refused, state };
}

const manifest: Manifest = manifestOf('site/a', 60, { sha256: 'a'.repeat(64), size: 3 });
const moved: Manifest = { ...manifest, regions: ['EU'] };
const removal = { kind: 'removal', key: 'site/a', version: 61 } as const;
const purge = (version: number) => ({ kind: 'invalidation', selector: { tag: 'v1' }, version, mode: 'purge' }) as const;
const store: PushCommand = { op: 'store', eventId: 'e', manifest, transfer: { kind: 'full' }, ...signed({ kind: 'manifest', manifest }) };
const remove: PushCommand = { op: 'remove', eventId: 'e', key: 'site/a', version: 61, reason: 'deleted', ...signed(removal) };
const leave: PushCommand = {
  ...{ op: 'remove', eventId: 'e', key: 'site/a', version: 60, reason: 'region', manifest: moved },
  ...signed({ kind: 'manifest', manifest: moved }),
};
const invalidate: PushCommand = { op: 'invalidate', eventId: 'e', tag: 'v1', version: 61, mode: 'purge', ...signed(purge(61)) };

test('what the origin has signed is carried out as it came, and nothing else is', () => {
  const { trust, refused } = stage();
  for (const command of [store, remove, leave, invalidate]) {
    expect(trust.admit(command)).toEqual(command);
    expect(() => trust.admit({ ...command, signature: undefined })).toThrow('it is not signed');
    for (const other of [store, remove, leave, invalidate]) {
      if (other.signature !== command.signature)
        expect(() => trust.admit({ ...command, signature: other.signature })).toThrow(/refused|signed/);
    }
  }
  expect(new Set(refused)).toEqual(new Set(['unsigned', 'wrong']));
});

test('what is not signed of a command may change: how the bytes come, and which event it is for', () => {
  const { trust } = stage();
  expect(trust.admit({ ...store, eventId: 'other', transfer: { kind: 'same' } } as PushCommand)).toMatchObject({ eventId: 'other' });
});

test('that an object has left the region is believed of its own manifest alone: of this key and version, and of other regions', () => {
  const { trust, refused } = stage();
  const here = { ...leave, manifest, ...signed({ kind: 'manifest', manifest }) } as PushCommand;
  for (const wrong of [here, { ...leave, key: 'site/b' }, { ...leave, version: 61 }] as PushCommand[]) {
    expect(() => trust.admit(wrong)).toThrow('says something else');
  }
  // A deletion proves nothing of regions, and a manifest no deletion.
  expect(() => trust.admit({ ...leave, manifest: undefined, version: 61, ...signed(removal) } as PushCommand)).toThrow(
    'says something else',
  );
  expect(() => trust.admit({ ...leave, reason: 'deleted' } as PushCommand)).toThrow();
  expect(refused).toEqual(['contradictory', 'contradictory', 'contradictory', 'contradictory', 'wrong']);
});

test('before the origin was asked nothing that is pushed is carried out, however well signed: it has to be asked for', () => {
  const { trust, state } = stage();
  state.caughtUp = false;
  for (const command of [store, remove, leave, invalidate]) {
    expect(() => trust.admit(command)).toThrow(expect.objectContaining({ code: 'NOT_CAUGHT_UP', retryable: true }));
  }
  expect(state.early).toBe(4);
  // Forgeries make it ask nobody.
  expect(() => trust.admit({ ...store, signature: undefined } as PushCommand)).toThrow(expect.objectContaining({ retryable: false }));
  expect(state.early).toBe(4);
});

test('a purge that this edge has caught up with drops nothing when it is sent again', () => {
  const { trust } = stage();
  const old = { ...invalidate, version: 50, ...signed(purge(50)) } as PushCommand;
  expect(trust.admit(old)).toMatchObject({ mode: 'stale', version: 50 });
  expect(trust.admit({ ...invalidate, version: 51, ...signed(purge(51)) } as PushCommand)).toMatchObject({ mode: 'purge' });
});

test('a key that was taken away counts from then on, and a reply is refused like a push but for that another may be asked', () => {
  const { trust, state } = stage();
  const exchange = { subject: 'origin.fetch', nonce: 'n', request: Buffer.from('q'), reply: Buffer.from('a'), kind: 'json' } as const;
  trust.verify(exchange, signReply(key, exchange));
  expect(() => trust.verify(exchange, undefined)).toThrow(expect.objectContaining({ code: 'SIGNATURE_REFUSED', retryable: true }));
  state.publicKeys = parsePublicKeys(generateSigningKey().publicPem);
  expect(() => trust.verify(exchange, signReply(key, exchange))).toThrow('EDGE_ORIGIN_PUBLIC_KEYS_FILE');
  expect(() => trust.admit(store)).toThrow('EDGE_ORIGIN_PUBLIC_KEYS_FILE');
});

test('a flood of forgeries is one line of each reason in ten seconds, which says how many it stands for', () => {
  const { trust, clock, said, refused } = stage();
  const forge = (signature: Signature | undefined): void =>
    void expect(() => trust.admit({ ...store, signature } as PushCommand)).toThrow();
  for (let count = 0; count < 1_000; count += 1) {
    forge(undefined);
    forge({ keyId: `made-up-${count}`, value: 'x' });
  }
  expect(said).toHaveLength(2);
  clock.advance(COMPLAINT_REST_MS);
  forge(undefined);
  expect(said.at(-1)).toMatchObject({ reason: 'unsigned', suppressed: 999 });
  expect(refused).toHaveLength(2_001);
});
