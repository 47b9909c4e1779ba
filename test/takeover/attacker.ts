/** Somebody with every right on the broker: hears everything, keeps it, and speaks in anybody's name. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { headers as createHeaders, type MsgHdrs } from '@nats-io/transport-node';
import { Bus } from '@sluice/bus';
import { type Manifest, ORIGIN_CHANGES, ORIGIN_FETCH, type PushCommand, SIGNATURE_HEADER } from '@sluice/contracts';
import { generateSigningKey, parseSigningKey, type SigningKey, signStatement } from '@sluice/signing';
import { silentLog } from '@sluice/testkit';

export const EVIL = Buffer.from('EVIL'.repeat(256));
export const EVIL_SHA256 = createHash('sha256').update(EVIL).digest('hex');

function headersOf(fields: Readonly<Record<string, string>>): MsgHdrs {
  const made = createHeaders();
  for (const [name, value] of Object.entries(fields)) made.set(name, value);
  return made;
}

interface Recorded {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly signature: string | undefined;
}
type Answer = { readonly data: Uint8Array; readonly headers?: Readonly<Record<string, string>> };

export class Attacker implements AsyncDisposable {
  readonly bus: Bus;
  /** What was pushed to any edge. */
  readonly pushes: PushCommand[] = [];
  /** What the origin has replied, by the subject of the request. */
  readonly replies = new Map<string, Recorded[]>();
  /** How often each lie was told. */
  readonly told = new Map<string, number>();
  readonly #blobs;
  /** Requests for blobs at an address that only the attacker names. */
  fetchedElsewhere = 0;
  #stops: (() => void)[] = [];
  #turn = 0;
  readonly #ownKey: SigningKey = parseSigningKey(generateSigningKey().privatePem);

  private constructor(bus: Bus) {
    this.bus = bus;
    this.#blobs = createServer((_request, response) => {
      this.fetchedElsewhere += 1;
      response.end(EVIL);
    }).listen(0, '127.0.0.1');
    const asked = new Map<string, string>();
    bus.connection.subscribe('>', {
      callback: (_error, { subject, data, reply, headers }) => {
        if (subject.endsWith('.push')) this.pushes.push(JSON.parse(Buffer.from(data).toString()));
        else if (subject === ORIGIN_FETCH.subject || subject === ORIGIN_CHANGES.subject) asked.set(reply ?? '', subject);
        const to = asked.get(subject);
        if (to === undefined) return;
        const recorded = { subject: to, data: data.slice(), signature: headers?.get(SIGNATURE_HEADER) || undefined };
        this.replies.set(to, [...(this.replies.get(to) ?? []), recorded]);
      },
    });
  }

  static async connect(url: string): Promise<Attacker> {
    const attacker = new Attacker(await Bus.connect({ servers: [url], name: 'attacker', log: silentLog }));
    await attacker.bus.flush();
    return attacker;
  }

  /** Every command that was ever sent to an edge, and what can be made of it without the key of the origin. */
  *commands(): Generator<PushCommand> {
    const later = Date.now() * 1000 + 60_000_000;
    const lies: PushCommand[] = [
      { op: 'invalidate', all: true, version: later, mode: 'purge', eventId: 'e' },
      { op: 'invalidate', all: true, version: later, mode: 'stale', eventId: 'e' },
    ];
    // What is said from now on comes by here too.
    const heard = [...this.pushes];
    const signatures = [undefined, ...heard.map(({ signature }) => signature)];
    for (const [index, genuine] of heard.entries()) {
      yield genuine;
      const other = signatures[(index * 7 + 3) % signatures.length];
      if (genuine.op === 'store') {
        const evil: Manifest = { ...genuine.manifest, version: later, sha256: EVIL_SHA256, size: EVIL.byteLength };
        const transfer = { kind: 'full', content: EVIL.toString('base64') } as const;
        lies.push({ ...genuine, manifest: evil, transfer });
        lies.push({ ...genuine, manifest: { ...genuine.manifest, regions: ['ZZ'], version: later } });
        const { key } = genuine.manifest;
        lies.push({ op: 'remove', eventId: 'e', key, version: later, reason: 'deleted', signature: genuine.signature });
        lies.push({
          op: 'remove',
          eventId: 'e',
          key,
          version: later,
          reason: 'region',
          manifest: genuine.manifest,
          signature: genuine.signature,
        });
        lies.push({ op: 'invalidate', key, version: genuine.manifest.version, mode: 'purge', eventId: 'e', signature: genuine.signature });
      } else if (genuine.op === 'invalidate') {
        lies.push({ ...genuine, mode: 'purge' }, { ...genuine, version: later });
      } else {
        lies.push({ ...genuine, version: later }, { ...genuine, key: 'site/a' });
      }
      yield { ...genuine, signature: undefined } as PushCommand;
      yield { ...genuine, signature: other } as PushCommand;
    }
    for (const lie of lies) {
      yield lie;
      const own = signStatement(this.#ownKey, { kind: 'removal', key: 'site/a', version: later });
      yield { ...lie, signature: own } as PushCommand;
    }
  }

  /** Answers for the origin, each time with another lie. */
  speakForOrigin(): void {
    for (const subject of [ORIGIN_FETCH.subject, ORIGIN_CHANGES.subject]) {
      const subscription = this.bus.connection.subscribe(subject, {
        callback: (_error, message) => {
          const lies = [...this.#lies(subject, JSON.parse(Buffer.from(message.data).toString()))];
          const [name, { data, headers = {} }] = lies[this.#turn++ % lies.length] as [string, Answer];
          this.told.set(name, (this.told.get(name) ?? 0) + 1);
          message.respond(data, { headers: headersOf(headers) });
        },
      });
      this.#stops.push(() => subscription.unsubscribe());
    }
  }

  /** Takes its share of the requests of a living origin: gives other bytes, and is silent where it would be found out. */
  standBesideOrigin(): void {
    const subscription = this.bus.connection.subscribe(ORIGIN_FETCH.subject, {
      queue: 'origin',
      callback: (_error, message) => {
        const request = JSON.parse(Buffer.from(message.data).toString());
        if (request.op !== 'read') return;
        this.told.set('bytes', (this.told.get('bytes') ?? 0) + 1);
        message.respond(Buffer.alloc(request.length, EVIL), { headers: headersOf({ 'sluice-reply': 'bytes' }) });
      },
    });
    this.#stops.push(() => subscription.unsubscribe());
  }

  *#lies(subject: string, request: { op?: string; key?: string; length?: number }): Generator<[string, Answer]> {
    const json = (value: object): Uint8Array => Buffer.from(JSON.stringify(value));
    const fake = { [SIGNATURE_HEADER]: `0123456789abcdef ${'A'.repeat(86)}==` };
    const replayed = this.replies.get(subject) ?? [];
    const old = replayed[this.#turn % Math.max(1, replayed.length)];
    if (old !== undefined) {
      yield ['replay', { data: old.data, ...(old.signature === undefined ? {} : { headers: { [SIGNATURE_HEADER]: old.signature } }) }];
    }
    const failure = (code: string): Uint8Array => json({ ok: false, error: { code, message: 'no', retryable: false } });
    yield ['failure', { data: failure('BLOB_MISSING') }];
    yield ['edge busy', { data: failure('EDGE_BUSY'), headers: fake }];
    yield ['nonsense', { data: Buffer.from('{') }];
    const asOf = Date.now() * 1000 + 60_000_000;
    if (subject === ORIGIN_CHANGES.subject) {
      const blobsUrl = `http://127.0.0.1:${(this.#blobs.address() as AddressInfo).port}`;
      const listing = { ok: true, catalogId: 'evil', blobsUrl, reset: true, changes: [], next: asOf, done: true };
      yield ['empty listing', { data: json(listing) }];
      yield ['empty listing', { data: json(listing), headers: fake }];
      yield [
        'purge in the feed',
        { data: json({ ...listing, reset: false, changes: [{ op: 'invalidate', all: true, version: asOf, mode: 'purge' }] }) },
      ];
    } else if (request.op === 'resolve') {
      yield ['not found', { data: json({ ok: true, found: false, asOf }) }];
      yield ['not found', { data: json({ ok: true, found: false, removed: { version: asOf }, asOf }), headers: fake }];
      const manifest = { key: request.key, version: asOf, sha256: EVIL_SHA256, size: EVIL.byteLength, contentType: 'text/html' };
      const more = { meta: {}, regions: [], tags: [], uploadedAt: '2026-01-01T00:00:00.000Z' };
      yield [
        'other content',
        { data: json({ ok: true, found: true, manifest: { ...manifest, ...more }, content: EVIL.toString('base64'), asOf }) },
      ];
    } else {
      yield ['bytes', { data: Buffer.alloc(request.length ?? 36, EVIL), headers: { 'sluice-reply': 'bytes' } }];
    }
  }

  beSilent(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#blobs.close();
    await this.bus.connection.close();
  }
}
