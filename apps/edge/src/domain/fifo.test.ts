import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fifo } from './fifo.ts';

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
