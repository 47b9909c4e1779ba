/** `npm run fuzz -- [--seed N] [--minutes M] [--target T …] [--at I] [--record]`: see docs/fuzzing.md. Ends with 1 when it has found something. */
import { parseArgs } from 'node:util';
import { inputOf, type Outcome } from './attempt.ts';
import { type Run, record } from './history.ts';
import { LIVE_TARGETS } from './live/mod.ts';
import { inputToJson } from './target.ts';
import { TARGETS } from './targets/mod.ts';
import { type RunOptions, runTarget } from './thread.ts';

/** Characters of an input that are shown; the whole of it comes with `--at`. */
const INPUT_SHOWN_CHARACTERS = 2_000;
const PROGRESS_EVERY_MS = 10_000;

const USAGE =
  'usage: npm run fuzz -- [--seed <whole number>] [--minutes <number>] [--target <name> …] [--at <number of an input>] [--record]';
const NAMES = [...TARGETS, ...LIVE_TARGETS].map(({ name }) => name);

function readOptions() {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string', default: '2' },
      target: { type: 'string', multiple: true },
      at: { type: 'string' },
      record: { type: 'boolean', default: false },
    },
  });
  const seed = Number(values.seed ?? Math.floor(Date.now() / 1000));
  const minutes = Number(values.minutes);
  const at = values.at === undefined ? undefined : Number(values.at);
  const targets = values.target ?? NAMES;
  const unknown = targets.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) throw new Error(`there is no target "${unknown}"; there are ${NAMES.join(', ')}`);
  if (!Number.isSafeInteger(seed) || seed < 0 || seed >= 2 ** 32) throw new Error('--seed must be a whole number below 2^32');
  if (!(minutes > 0)) throw new Error('--minutes must be a number greater than 0');
  if (at !== undefined && (!Number.isSafeInteger(at) || at < 0)) throw new Error('--at must be the number of an input, from 0 on');
  return { seed, minutes, at, targets, record: values.record };
}

function runOne(name: string, options: RunOptions): Promise<Outcome> {
  const live = LIVE_TARGETS.find((target) => target.name === name);
  return live === undefined ? runTarget(name, options) : live.run(options);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Shows how far it is, on a terminal in one line, else now and then. */
function progress(name: string): (inputs: number) => void {
  const begun = performance.now();
  let shownAtMs = begun;
  return (inputs) => {
    const now = performance.now();
    const perSecond = Math.round(inputs / ((now - begun) / 1000));
    const text = `${name}: ${inputs.toLocaleString('en-GB')} inputs, ${perSecond.toLocaleString('en-GB')} a second`;
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`);
    else if (now - shownAtMs > PROGRESS_EVERY_MS) {
      shownAtMs = now;
      say(text);
    }
  };
}

async function main(): Promise<boolean> {
  const { seed, minutes, at, targets, record: isRecorded } = readOptions();
  const runs: Run[] = [];
  const ms = (minutes * 60_000) / targets.length;
  say(`seed ${seed}, ${targets.length === 1 ? targets[0] : `${targets.length} targets`}, ${minutes} minutes`);
  for (const name of targets) {
    const only = at === undefined ? {} : { from: at, to: at + 1 };
    const { inputs, findings } = await runOne(name, { seed, ms, ...only, onProgress: progress(name) });
    if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
    say(`${name}: ${inputs.toLocaleString('en-GB')} inputs, ${findings.length} findings`);
    for (const finding of findings) {
      say(`  ${finding.problem.replaceAll('\n', '\n    ')}`);
      say(`  again: npm run fuzz -- --seed ${seed} --target ${name} --at ${finding.at}`);
      const known = TARGETS.find((target) => target.name === name);
      const input = finding.input || (known === undefined ? '' : inputToJson(inputOf(known, seed, finding.at)));
      say(`  input: ${at === undefined ? input.slice(0, INPUT_SHOWN_CHARACTERS) : input}`);
    }
    const run = { date: new Date().toISOString(), target: name, seed, inputs, findings: findings.length };
    runs.push(run);
    // At once: what was run is not lost when a later one is broken off.
    if (isRecorded && at === undefined) record([run]);
  }
  say(`${runs.reduce((sum, { inputs }) => sum + inputs, 0).toLocaleString('en-GB')} inputs in all`);
  return runs.some(({ findings }) => findings > 0);
}

try {
  process.exitCode = (await main()) ? 1 : 0;
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n${USAGE}\n`);
  process.exitCode = 2;
}
