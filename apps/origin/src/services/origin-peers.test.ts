import { BlobMissingError } from '@sluice/blobs';
import { SluiceError } from '@sluice/contracts';
import { FakeClock } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { GREETED_MS, OriginPeers, type OriginPeersOptions, originIdOf, PEERS_MAX } from './origin-peers.ts';

type Bus = OriginPeersOptions['bus'];
interface Report {
  readonly id: string;
  readonly leaving: boolean;
}

/** What origins hear of each other, and what each of them holds. Nothing is lost but by who is cut off. */
class Hub {
  readonly #listeners = new Map<string, (report: Report) => void>();
  readonly held = new Map<string, Map<string, Uint8Array>>();
  /** Origins that hear and say nothing. */
  readonly cutOff = new Set<string>();
  readonly asked: string[] = [];
  said = 0;
  chunkBytes = 4;

  busOf(own: string): Bus {
    return {
      chunkBytes: this.chunkBytes,
      publish: (_subject: unknown, report: { id: string; leaving?: boolean }) => this.say({ leaving: false, ...report }, own),
      subscribe: (_subject: unknown, listener: (report: Report) => void) => {
        this.#listeners.set(own, listener);
        return () => this.#listeners.delete(own);
      },
      requestBytes: async ({ subject }: { subject: string }, request: { sha256: string; offset: number; length: number }) => {
        const id = subject.split('.')[1] as string;
        this.asked.push(id);
        if (this.cutOff.has(id)) throw new SluiceError('NO_REPLY', 'silence', { retryable: true });
        const bytes = this.held.get(id)?.get(request.sha256);
        if (bytes === undefined) throw new BlobMissingError(request.sha256);
        return bytes.subarray(request.offset, request.offset + request.length);
      },
    } as unknown as Bus;
  }

  say(report: Report, from = report.id): void {
    this.said += 1;
    if (this.cutOff.has(from)) return;
    for (const [id, listener] of this.#listeners) if (!this.cutOff.has(id)) listener(report);
  }
}

function origins(...ids: string[]) {
  const [hub, clock] = [new Hub(), new FakeClock()];
  const join = (id: string): OriginPeers => new OriginPeers({ bus: hub.busOf(id), id, clock });
  return { hub, clock, join, peers: ids.map(join) as [OriginPeers, OriginPeers, ...OriginPeers[]] };
}
const bytesOf = async (chunks: AsyncIterable<Uint8Array> | undefined) => chunks && Buffer.concat(await Array.fromAsync(chunks)).toString();
const REF = { sha256: 'a'.repeat(64), size: 10 };
const CONTENT = Buffer.from('0123456789');

describe('who is there', () => {
  test('whoever comes hears of all others before it takes its turn, and exactly one of them is the first', async () => {
    const { clock, peers } = origins('a', 'b', 'c');
    let greeted = 0;
    for (const each of peers) void each.greeted.then(() => (greeted += 1));
    await Promise.resolve();
    expect(greeted).toBe(0);
    clock.advance(GREETED_MS);
    await Promise.all(peers.map((each) => each.greeted));
    expect(peers.map(({ others }) => others.join())).toEqual(['b,c', 'a,c', 'a,b']);
    expect(peers.map(({ isFirst }) => isFirst)).toEqual([true, false, false]);
  });

  test('who starts later takes no turn from who was there before', () => {
    const [early, late] = [originIdOf(999_999_999_999), originIdOf(1_800_000_000_000)];
    expect(early < late).toBe(true);
    expect(early).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
    expect(originIdOf(1)).not.toBe(originIdOf(1));
  });

  test('who is not heard of for three heartbeats is not there any more, and is again when it is heard', () => {
    const { hub, clock, peers } = origins('a', 'b');
    clock.advance(60_000);
    expect(peers[1].others).toEqual(['a']);
    hub.cutOff.add('a');
    clock.advance(4_900);
    expect([peers[1].others, peers[1].isFirst]).toEqual([['a'], false]);
    clock.advance(2_100);
    expect([peers[1].others, peers[1].isFirst]).toEqual([[], true]);
    hub.cutOff.delete('a');
    clock.advance(2_000);
    expect([peers[1].others, peers[1].isFirst]).toEqual([['a'], false]);
  });

  test('who leaves says so, is gone at once, and waits for nobody', async () => {
    const { hub, clock, peers } = origins('a', 'b');
    peers[0].stop();
    await peers[0].greeted;
    expect(peers[1].isFirst).toBe(true);
    const { said } = hub;
    clock.advance(1_000);
    expect(hub.said).toBe(said);
  });

  test('ten times as many as are remembered leave as many, and only those are answered; places become free', () => {
    const { hub, clock, peers } = origins('a');
    const before = hub.said;
    for (let number = 0; number < 10 * PEERS_MAX; number += 1) hub.say({ id: `o-${number}`, leaving: false });
    expect(peers[0].others).toHaveLength(PEERS_MAX);
    expect(hub.said - before).toBe(10 * PEERS_MAX + PEERS_MAX);
    hub.say({ id: 'o-5', leaving: false });
    hub.say({ id: 'o-6', leaving: true });
    hub.say({ id: 'late', leaving: false });
    expect(peers[0].others).toContain('late');
    clock.advance(7_000);
    expect(peers[0].others).toEqual([]);
  });
});

describe('bytes that only others hold', () => {
  test('come piece by piece from the second when the first has them not, and from nobody when none has', async () => {
    const { hub, join } = origins('a', 'b', 'c');
    const asking = join('z');
    hub.held.set('b', new Map([[REF.sha256, CONTENT]]));
    expect(await bytesOf(await asking.read(REF))).toBe('0123456789');
    expect(hub.asked).toEqual(['a', 'b', 'b', 'b']);
    expect(Buffer.from((await asking.readRange(REF.sha256, 2, 3)) ?? []).toString()).toBe('234');
    expect(await asking.read({ ...REF, sha256: 'b'.repeat(64) })).toBeUndefined();
    expect(await asking.readRange('b'.repeat(64), 0, 1)).toBeUndefined();
  });

  test('come from the next one when one does not answer; one that falls silent on the way is a failure, not a short blob', async () => {
    const { hub, join } = origins('a', 'b');
    const asking = join('z');
    for (const id of ['a', 'b']) hub.held.set(id, new Map([[REF.sha256, CONTENT]]));
    hub.cutOff.add('a');
    const chunks = await asking.read(REF);
    const pieces = chunks?.[Symbol.asyncIterator]();
    expect(Buffer.from((await pieces?.next())?.value as Uint8Array).toString()).toBe('0123');
    hub.cutOff.add('b');
    await expect(pieces?.next()).rejects.toThrow('silence');
  });

  test('that the source has too are asked of three others at most, whole in one message or not at all', async () => {
    const { hub, join } = origins('a', 'b', 'c', 'd');
    const asking = join('z');
    hub.held.set('b', new Map([[REF.sha256, CONTENT.subarray(0, 4)]]));
    hub.held.set('d', new Map([['d'.repeat(64), CONTENT]]));
    expect(Buffer.from((await asking.readSmall({ ...REF, size: 4 })) ?? []).toString()).toBe('0123');
    expect(await asking.readSmall(REF)).toBeUndefined();
    expect(hub.asked).toEqual(['a', 'b']);
    expect(await asking.readSmall({ sha256: 'd'.repeat(64), size: 4 })).toBeUndefined();
    expect(hub.asked.slice(2)).toEqual(['a', 'b', 'c']);
  });

  test('an empty blob is asked for too', async () => {
    const { hub, join } = origins('a');
    hub.held.set('a', new Map([[REF.sha256, Buffer.alloc(0)]]));
    expect(await bytesOf(await join('z').read({ ...REF, size: 0 }))).toBe('');
  });
});
