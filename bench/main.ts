/** `npm run bench -- <suite> [part …] [--json] [--quick]`: measures Sluice beside what people use instead, in one run on one machine. */
import { EDGE_PARTS, edge } from './edge/suite.ts';
import { ORIGIN_PARTS, origin } from './origin/suite.ts';
import { propagation } from './propagation/suite.ts';
import type { Suite } from './publish.ts';

const SUITES: Readonly<Record<string, Suite>> = {
  edge: { parts: EDGE_PARTS, run: edge },
  origin: { parts: ORIGIN_PARTS, run: origin },
  propagation: { parts: [], run: propagation },
};

const [name = '', ...rest] = process.argv.slice(2);
const suite = SUITES[name];
const flags = rest.filter((word) => word.startsWith('-'));
const parts = rest.filter((word) => !word.startsWith('-'));
const unknown = [...flags.filter((flag) => !['--json', '--quick'].includes(flag)), ...parts.filter((part) => !suite?.parts.includes(part))];
if (suite === undefined || unknown.length > 0) {
  const suites = Object.entries(SUITES).map(([each, { parts }]) => (parts.length === 0 ? each : `${each} [${parts.join(' | ')} …]`));
  process.stderr.write(`usage: npm run bench -- <suite> [part …] [--json] [--quick]\nsuites: ${suites.join(', ')}\n`);
  process.exit(2);
}
await suite.run({ json: flags.includes('--json'), quick: flags.includes('--quick') }, parts);
