/** Targets that break their laws in every way there is: whether the fuzzer would notice. */
import { law, target } from './target.ts';

export const SELF_TESTS = [
  target({
    name: 'self-test-law',
    law: 'no number is 7',
    make: (random) => random.below(10),
    check: (n) => law(n !== 7, () => `it is ${n}`),
  }),
  target({
    name: 'self-test-failure',
    law: 'nothing fails',
    make: (random) => ({ bytes: random.bytes(3) }),
    check: ({ bytes }) => void (bytes as unknown as { no: { such: string } }).no.such,
  }),
  target({
    name: 'self-test-hang',
    law: 'nothing hangs',
    make: (random) => random.below(50),
    check(n) {
      while (n === 7);
    },
  }),
  target({
    name: 'self-test-memory',
    law: 'nothing takes all memory',
    make: (random) => random.below(50),
    check(n) {
      const kept: number[][] = [];
      while (n === 7) kept.push(Array(100_000).fill(n));
    },
  }),
  target({
    name: 'self-test-slow',
    law: 'nothing takes a second',
    make: (random) => random.below(50),
    async check(n) {
      if (n === 7) await new Promise((resolve) => setTimeout(resolve, 1_050));
    },
  }),
];
