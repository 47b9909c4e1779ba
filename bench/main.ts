/** `npm run bench -- <suite> [--json]`: measures Sluice beside what people use instead, in one run on one machine. */
import { edge } from './edge/suite.ts';
import { propagation } from './propagation/suite.ts';

const SUITES: Readonly<Record<string, (options: { readonly json: boolean; readonly quick: boolean }) => Promise<void>>> = {
  edge,
  propagation,
};

const [name = '', ...flags] = process.argv.slice(2);
const suite = SUITES[name];
const unknown = flags.filter((flag) => !['--json', '--quick'].includes(flag));
if (suite === undefined || unknown.length > 0) {
  process.stderr.write(`usage: npm run bench -- <suite> [--json] [--quick]\nsuites: ${Object.keys(SUITES).join(', ')}\n`);
  process.exit(2);
}
await suite({ json: flags.includes('--json'), quick: flags.includes('--quick') });
