import { silentLog, testBroker } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LogEntry, SharedLog } from './mod.ts';

const DEFINITION = { name: 'ORDER', subjectPrefix: 'order' };
const data = (text: string): Uint8Array => Buffer.from(text);
const textOf = (entry: LogEntry): string => `${entry.position}:${Buffer.from(entry.data)}`;

describe('shared log', () => {
  test('an entry is taken only behind the newest one, also the first: of two that come at once one is refused', async () => {
    await using environment = await testBroker();
    const [one, other] = await Promise.all([environment.connect(), environment.connect()]);
    const [log, second] = [new SharedLog(one, silentLog, DEFINITION), new SharedLog(other, silentLog, DEFINITION)];
    await log.ensure();
    await second.ensure();
    expect(await log.last()).toBe(0);
    const first = await Promise.all([log.append('a', data('1'), 0), second.append('a', data('2'), 0)]);
    expect(first.filter((position) => position === undefined)).toHaveLength(1);
    expect(await log.append('b', data('3'), 0)).toBeUndefined();
    expect(await log.append('b', data('3'), 1)).toBe(2);
    expect(await second.last()).toBe(2);
  });

  test('several on their way at once are taken in their order, and behind a refused one none is', async () => {
    await using environment = await testBroker();
    const log = new SharedLog(await environment.connect(), silentLog, DEFINITION);
    await log.ensure();
    const chain = (from: number, count: number): Promise<(number | undefined)[]> =>
      Promise.all(
        Array.from({ length: count }, (_, index) =>
          log.append(`t${index}`, data('x'), from + index, {
            id: `${from}-${index}`,
            behind: index === 0 ? undefined : `${from}-${index - 1}`,
          }),
        ),
      );
    expect(await chain(0, 50)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    // The first is refused. The others expect positions that the log has or will have, and are refused all the same.
    const both = await Promise.all([chain(49, 3), log.append('other', data('y'), 50), log.append('other', data('z'), 51)]);
    expect(both).toEqual([[undefined, undefined, undefined], 51, 52]);
  });

  test('who follows gets the newest entry of each subject in the order of positions, and then each new one', async () => {
    await using environment = await testBroker();
    const log = new SharedLog(await environment.connect(), silentLog, DEFINITION);
    await log.ensure();
    for (const [index, token] of ['a', 'b', 'a', 'c'].entries()) await log.append(token, data(`${token}${index}`), index);
    expect((await log.newest('a'))?.position).toBe(3);
    expect(await log.newest('z')).toBeUndefined();
    const seen: string[] = [];
    let position = 0;
    const arrived = Promise.withResolvers<void>();
    const caughtUp = Promise.withResolvers<void>();
    const following = log.follow({
      position: () => position,
      onEntry: async (entry) => {
        seen.push(textOf(entry));
        position = entry.position;
        if (entry.position === 5) arrived.resolve();
      },
      caughtUp: async () => caughtUp.resolve(),
      check: async () => {},
    });
    await caughtUp.promise;
    expect(seen).toEqual(['2:b1', '3:a2', '4:c3']);
    await log.append('b', data('b4'), 4);
    await arrived.promise;
    expect(seen.at(-1)).toBe('5:b4');
    await following.stop();
  });

  test('what is dropped is gone, what came to its subject after that position is not', async () => {
    await using environment = await testBroker();
    const log = new SharedLog(await environment.connect(), silentLog, DEFINITION);
    await log.ensure();
    await log.append('a', data('1'), 0);
    await log.append('b', data('2'), 1);
    await log.drop('a', 1);
    expect(await log.newest('a')).toBeUndefined();
    await log.append('a', data('3'), 2);
    await log.drop('a', 1);
    expect((await log.newest('a'))?.position).toBe(3);
    await log.dropAll(2);
    expect(await log.newest('b')).toBeUndefined();
    expect((await log.newest('a'))?.position).toBe(3);
    expect(await log.last()).toBe(3);
  });

  test('whatever several write at once, all who follow see one order without a gap', async () => {
    await using environment = await testBroker();
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.nat(5), { maxLength: 8 }), { minLength: 2, maxLength: 3 }), async (writers) => {
        runs += 1;
        const definition = { name: `ORDER${runs}`, subjectPrefix: `order${runs}` };
        const connections = await Promise.all(writers.map(() => environment.connect()));
        const logs = connections.map((bus) => new SharedLog(bus, silentLog, definition));
        for (const log of logs) await log.ensure();
        const write = async (log: SharedLog, tokens: readonly number[], writer: number): Promise<number[]> => {
          const positions: number[] = [];
          for (const token of tokens) {
            for (let position: number | undefined; position === undefined; ) {
              position = await log.append(`t${token}`, data(`w${writer}`), await log.last());
              if (position !== undefined) positions.push(position);
            }
          }
          return positions;
        };
        const positions = await Promise.all(logs.map((log, writer) => write(log, writers[writer] ?? [], writer)));
        const all = positions.flat().sort((a, b) => a - b);
        expect(all).toEqual(Array.from({ length: all.length }, (_, index) => index + 1));
        await Promise.all(connections.map((bus) => bus.close()));
      }),
      { numRuns: 10 },
    );
  });
});
