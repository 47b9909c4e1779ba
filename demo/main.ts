/** `npm run demo`: runs every scenario, prints the evidence, and fails when anything is not as promised. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { SCENARIOS } from './scenarios.ts';
import { Stage } from './stage.ts';

const startedAt = performance.now();
const dataDir = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
let failures = 0;
try {
  process.stdout.write('Starting a broker, an origin, a controller and three edges (US, EU, IN) …\n');
  await using stage = await Stage.open(dataDir);
  for (const [index, [title, scenario]] of SCENARIOS.entries()) {
    stage.scene(`${index + 1}. ${title}`);
    try {
      await scenario(stage);
    } catch (error) {
      stage.check(false, (error as Error).message);
    }
  }
  failures = stage.failures;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const verdict = failures === 0 ? styleText('green', 'everything is as promised') : styleText('red', `${failures} expectations failed`);
  process.stdout.write(`\n${stage.checks} checks in ${seconds} s: ${verdict}\n`);
} finally {
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(failures === 0 ? 0 : 1);
