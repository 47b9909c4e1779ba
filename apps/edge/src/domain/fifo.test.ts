import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fifo } from './fifo.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('whatever is put in, deleted and taken out: what comes out is what is there longest', () => {
  const step = fc.record({ what: fc.constantFrom('set', 'set', 'delete', 'shift'), name: fc.nat(20).map(String) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 500 }), (steps) => {
      const fifo = new Fifo<number>();
      const model: [string, number][] = [];
      for (const [at, { what, name }] of steps.entries()) {
        const known = model.findIndex(([other]) => other === name);
        if (what === 'shift') expect(fifo.shift()).toEqual(model.shift());
        else if (what === 'delete') {
          expect(fifo.delete(name)).toBe(known !== -1);
          if (known !== -1) model.splice(known, 1);
        } else {
          fifo.set(name, at);
          if (known === -1) model.push([name, at]);
          else model[known] = [name, at];
        }
        expect([fifo.size, fifo.get(name), fifo.has(name)]).toEqual([
          model.length,
          model.find(([other]) => other === name)?.[1],
          model.some(([other]) => other === name),
        ]);
      }
      for (const item of model) expect(fifo.shift()).toEqual(item);
      expect(fifo.shift()).toBeUndefined();
    }),
  );
});

test.each([0, 1])(
  'what is deleted by its name is kept by nothing, however long nothing is taken out (%i taken out before)',
  async (taken) => {
    const fifo = new Fifo<object>();
    for (let at = 0; at < 100; at += 1) fifo.set(String(at), {});
    for (let at = 0; at < taken; at += 1) fifo.shift();
    const deleted: WeakRef<object>[] = [];
    for (let at = 100; at < 5_000; at += 1) {
      fifo.delete(String(at - 100));
      const value = {};
      deleted.push(new WeakRef(value));
      fifo.set(String(at), value);
    }
    for (let at = 4_900; at < 5_000; at += 1) fifo.delete(String(at));
    // What a WeakRef was made of in this turn lives until its end.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    // One or another may still be on the stack.
    expect(deleted.filter((reference) => reference.deref() !== undefined).length).toBeLessThan(10);
    expect(fifo.size).toBe(0);
  },
);
