import { generateKeyPairSync } from 'node:crypto';
import type { Exchange, Manifest } from '@sluice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  canonicalStatement,
  generateSigningKey,
  type PublicKeys,
  parsePublicKeys,
  parseSigningKey,
  type SigningKey,
  type Statement,
  signReply,
  signStatement,
  verifyReply,
  verifyStatement,
} from './mod.ts';

function pair(): { key: SigningKey; publicPem: string; privatePem: string; keys: PublicKeys } {
  const { privatePem, publicPem } = generateSigningKey();
  return { key: parseSigningKey(privatePem), publicPem, privatePem, keys: parsePublicKeys(publicPem) };
}
const { key, keys, publicPem, privatePem } = pair();

const manifest: Manifest = {
  key: 'site/größe.txt',
  version: 1767225600000002,
  sha256: 'b'.repeat(64),
  size: 12,
  contentType: 'text/plain',
  cacheControl: 'max-age=5',
  meta: { build: '1', author: 'café' },
  regions: ['US', 'IN'],
  tags: ['v1', 'v2'],
  uploadedAt: '2026-01-01T00:00:00.000Z',
  variants: [{ coding: 'br', sha256: 'c'.repeat(64), size: 9 }],
  contentVersion: 1767225600000001,
};
const STATEMENTS: readonly Statement[] = [
  { kind: 'manifest', manifest },
  { kind: 'manifest', manifest: { ...manifest, key: 'site/other' } },
  { kind: 'manifest', manifest: { ...manifest, version: manifest.version + 1 } },
  { kind: 'removal', key: manifest.key, version: manifest.version },
  { kind: 'removal', key: manifest.key, version: manifest.version + 1 },
  { kind: 'removal', key: 'site/other', version: manifest.version },
  { kind: 'invalidation', selector: { key: manifest.key }, version: manifest.version, mode: 'stale' },
  { kind: 'invalidation', selector: { key: manifest.key }, version: manifest.version, mode: 'purge' },
  { kind: 'invalidation', selector: { prefix: manifest.key }, version: manifest.version, mode: 'stale' },
  { kind: 'invalidation', selector: { tag: manifest.key }, version: manifest.version, mode: 'stale' },
  { kind: 'invalidation', selector: { all: true }, version: manifest.version, mode: 'stale' },
  { kind: 'invalidation', selector: { all: true }, version: manifest.version + 1, mode: 'stale' },
];

/** The same value with its fields in another order, as it may come out of another parser. */
function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, inner]) => [name, reordered(inner)]),
  );
}

/** Every value that one change somewhere in it makes: a leaf replaced, a field gone, a field more. */
function* changed(value: unknown): Generator<unknown> {
  if (Array.isArray(value)) {
    yield [...value, 'more'];
    if (value.length > 1) yield [...value].reverse();
    for (const [index, inner] of value.entries()) for (const other of changed(inner)) yield value.with(index, other);
  } else if (typeof value === 'object' && value !== null) {
    yield { ...value, another: 1 };
    for (const [name, inner] of Object.entries(value)) {
      const { [name]: _gone, ...rest } = value as Record<string, unknown>;
      yield rest;
      for (const other of changed(inner)) yield { ...value, [name]: other };
    }
  } else yield typeof value === 'number' ? value + 1 : `${value}x`;
}

describe('a statement', () => {
  test.each(STATEMENTS)('is taken as it was signed, in whatever order its fields come: $kind', (statement) => {
    const signature = signStatement(key, statement);
    expect(verifyStatement(keys, statement, signature)).toBeUndefined();
    expect(verifyStatement(keys, reordered(statement) as Statement, signature)).toBeUndefined();
    expect(verifyStatement(keys, JSON.parse(JSON.stringify(statement)), JSON.parse(JSON.stringify(signature)))).toBeUndefined();
  });

  test('has a signature that fits no other one: not of another key, version, kind, selector or mode', () => {
    for (const signed of STATEMENTS) {
      const signature = signStatement(key, signed);
      for (const other of STATEMENTS) {
        if (other !== signed) expect(verifyStatement(keys, other, signature)).toEqual({ reason: 'wrong', keyId: key.keyId });
      }
    }
  });

  test('with any field of the manifest changed, gone, or one more, is refused', () => {
    const signature = signStatement(key, { kind: 'manifest', manifest });
    let count = 0;
    for (const other of changed(manifest)) {
      count += 1;
      expect(verifyStatement(keys, { kind: 'manifest', manifest: other as Manifest }, signature), JSON.stringify(other)).toBeDefined();
    }
    expect(count).toBeGreaterThan(40);
  });

  test('covers fields that are not known here', () => {
    const newer = { ...manifest, lang: 'x' } as Manifest;
    const signature = signStatement(key, { kind: 'manifest', manifest: newer });
    expect(verifyStatement(keys, { kind: 'manifest', manifest: newer }, signature)).toBeUndefined();
    expect(verifyStatement(keys, { kind: 'manifest', manifest }, signature)).toBeDefined();
  });

  test('names its kind and form before the canonical JSON of RFC 8785', () => {
    const text = Buffer.from(canonicalStatement({ kind: 'removal', version: 7, key: 'site/ä' })).toString('utf8');
    expect(text).toBe('sluice-removal-1\n{"key":"site/ä","version":7}');
  });

  test('whatever comes as a signature: one that is not this key’s over these bytes is refused, and nothing is thrown', () => {
    const right = signStatement(key, STATEMENTS[3] as Statement).value;
    const altered = fc
      .tuple(fc.nat(right.length - 1), fc.constantFrom(...'ABab09+/=\n'))
      .map(([at, by]) => right.slice(0, at) + by + right.slice(at + 1));
    const any = fc.oneof(fc.string(), fc.base64String(), altered, fc.constantFrom(`${right}\n`, right.replace('==', ''), right.repeat(2)));
    fc.assert(
      fc.property(any, fc.oneof(fc.constant(key.keyId), fc.string()), (value, keyId) => {
        fc.pre(value !== right);
        expect(verifyStatement(keys, STATEMENTS[3] as Statement, { keyId, value })).toBeDefined();
      }),
      { seed: 5, numRuns: 2_000 },
    );
  });
});

describe('keys', () => {
  const statement = STATEMENTS[0] as Statement;

  test('rotate with overlap: old and new are taken while both are given, and the old one no more when it is gone', () => {
    const next = pair();
    const both = parsePublicKeys(`${publicPem}${next.publicPem}`);
    const [old, young] = [signStatement(key, statement), signStatement(next.key, statement)];
    expect(verifyStatement(keys, statement, young)).toEqual({ reason: 'unknown_key', keyId: next.key.keyId });
    expect([verifyStatement(both, statement, old), verifyStatement(both, statement, young)]).toEqual([undefined, undefined]);
    expect(verifyStatement(next.keys, statement, old)).toEqual({ reason: 'unknown_key', keyId: key.keyId });
  });

  test('a signature under the name of another key is refused', () => {
    const { value } = signStatement(pair().key, statement);
    expect(verifyStatement(keys, statement, { keyId: key.keyId, value })).toEqual({ reason: 'wrong', keyId: key.keyId });
    expect(verifyStatement(keys, statement, undefined)).toEqual({ reason: 'unsigned' });
  });

  test('files with something else are refused with what to do, and nothing of what is in them', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const rsaPrivate = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    const rsaPublic = rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string;
    expect(() => parseSigningKey(publicPem)).toThrow('openssl genpkey -algorithm ed25519');
    expect(() => parseSigningKey('')).toThrow('holds no private key');
    expect(() => parseSigningKey(rsaPrivate)).toThrow('holds a key of the kind rsa');
    expect(() => parsePublicKeys(privatePem)).toThrow('only the origin may have');
    expect(() => parsePublicKeys('nothing')).toThrow('holds no public key');
    expect(() => parsePublicKeys(publicPem + rsaPublic)).toThrow('public key 2 is not one for Ed25519');
    expect(() => parsePublicKeys(publicPem.replace(/\n(.)/, '\n!$1'))).toThrow('holds no public key');
    expect(() => parsePublicKeys(publicPem.repeat(33))).toThrow('at most 32');
  });
});

describe('a reply', () => {
  const exchange: Exchange = {
    subject: 'origin.fetch',
    nonce: 'n-1',
    request: Buffer.from('{"op":"resolve","key":"site/a"}'),
    reply: Buffer.from('{"ok":true,"found":false,"asOf":7}'),
    kind: 'json',
  };

  test('is taken for the request that it answers, and for no other', () => {
    const header = signReply(key, exchange);
    expect(verifyReply(keys, exchange, header)).toBeUndefined();
    const others: Partial<Exchange>[] = [
      { subject: 'origin.changes' },
      { nonce: 'n-2' },
      { request: Buffer.from('{"op":"resolve","key":"site/b"}') },
      { reply: Buffer.from('{"ok":true,"found":false,"asOf":8}') },
      { kind: 'bytes' },
    ];
    for (const other of others) expect(verifyReply(keys, { ...exchange, ...other }, header)).toMatchObject({ reason: 'wrong' });
    for (const missing of [undefined, '', 'x', `${header} `, header.replace(' ', '  ')]) {
      expect(verifyReply(keys, exchange, missing)).toMatchObject({ reason: 'unsigned' });
    }
  });
});
