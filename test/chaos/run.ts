/** One run: a stack, what is done to it, who reads from it, and whether it kept its promises. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Checker } from './checker/checker.ts';
import { isHit } from './checker/observation.ts';
import type { Fault } from './faults/fault.ts';
import { FAULTS } from './faults/index.ts';
import { Observer } from './observer.ts';
import { Operations } from './operations.ts';
import { keysOf, type Plan, type PlannedFault, type PlannedOperation, planOf } from './plan.ts';
import { randomOf } from './random.ts';
import { Readers } from './readers.ts';
import type { LogEntry } from './report/run-log.ts';
import { surround } from './surroundings.ts';
import { CATCH_UP_MS, EDGES, GUEST, openWorld, type World } from './world.ts';

/** A little is what arrives at once. */
const SMALL_BYTES = 100_000;
const READERS_PER_EDGE = 2;
/** Leaves the machine's cores to the stack. */
const READER_PAUSE_MS = 4;
/** From the moment that everything runs again until every edge has the catalog: one catch-up, and the time for what has to be brought. */
const CONVERGED_WITHIN_MS = CATCH_UP_MS + 15_000;
const READY_WITHIN_MS = 60_000;
const ACCEPTED_WITHIN_MS = 60_000;
/** Far above what they take (README, "What it costs"), far below what a leak of a run would. */
const RSS_MAX_BYTES = 700_000_000;
/** From the last operation until nothing waits any more. What was not acknowledged comes again after ten seconds. */
const QUIET_WITHIN_MS = 30_000;
/** Of the objects that were just read, so many an edge holds at least: large ones may still be coming. */
const HELD_SHARE = 0.9;
const RESTART_AFTER_MS = 300;

export interface Progress {
  readonly atMs: number;
  readonly reads: number;
  readonly operations: number;
  readonly strikes: number;
  readonly violations: number;
  readonly doing: string;
}

export interface RunOptions {
  readonly seed: number;
  readonly minutes: number;
  /** Empty; has the stack's data and logs afterwards. */
  readonly dir: string;
  readonly tell?: (progress: Progress) => void;
}

export async function runChaos(options: RunOptions): Promise<LogEntry[]> {
  const { seed, minutes, dir, tell } = options;
  const random = randomOf(seed);
  const entries: LogEntry[] = [];
  const checker = new Checker();
  const names = EDGES.map(({ id }) => `edge ${id}`);
  await using cleanup = new AsyncDisposableStack();
  const surroundings = cleanup.use(
    await surround({
      ...{ random: random.fork('surroundings'), dataDir: join(dir, 'stack'), scratchDir: join(dir, 'scratch') },
      // One with a host of its own, two with a disk and a clock: the others show what is not disturbed.
      ...{ hosts: names.slice(2, 3), disks: ['origin', names[0] as string], clocks: ['origin', names[1] as string] },
    }),
  );
  const world = cleanup.use(await openWorld({ dataDir: dir, surroundings }));
  const available: Fault[] = [];
  const missing: Record<string, string> = {};
  for (const fault of FAULTS) {
    const why = await fault.unavailable?.(world);
    if (why === undefined) available.push(fault);
    else missing[fault.name] = why;
  }
  const plan = planOf(seed, minutes * 60_000, world, available);
  const begunAt = performance.now();
  const now = (): number => Math.round(performance.now() - begunAt);
  entries.push({ type: 'begin', seed, minutes, startedAt: new Date().toISOString(), edges: [...names, `edge ${GUEST.id}`], missing });
  const operations = cleanup.use(
    await Operations.open({
      originUrl: world.origin.url,
      natsUrl: world.stack.natsUrl,
      history: (key) => checker.history(key),
      now,
      onInvalidation: (id, atMs) => checker.invalidations.askedFor(id, atMs),
    }),
  );
  const observer = cleanup.use(await Observer.open(world.stack.natsUrl, checker.invalidations, now));
  world.stack.onUnexpectedEnd((name, how) => {
    if (!checker.mayEnd(name, now()))
      checker.accuse({ invariant: 'availability', atMs: now(), edge: name, what: `ended by itself: ${how}` });
    // As whoever runs it would have it: started again.
    void pause(RESTART_AFTER_MS).then(() => restart(world, name));
  });

  const gauge = new Gauge();
  const present = new Set(names);
  const readersOf = (name: string): Readers =>
    new Readers(
      {
        ...{ name, keys: keysOf(), random: random.fork(name), now, pauseMs: READER_PAUSE_MS },
        url: () => world.member(name).url,
        present: () => present.has(name),
        sizeOf: (key) => checker.history(key).latest.bytes?.length,
        begin: (key) => checker.begin(name, key),
        answered: (seen, begun, latencyMs) => {
          gauge.latenciesMs.push(latencyMs);
          checker.answered(seen, begun);
        },
        failed: (failure) => checker.failed(failure),
      },
      READERS_PER_EDGE,
    );
  const state = { doing: 'operations and faults', operations: 0, strikes: 0 };
  const everySecond = setInterval(() => {
    void second(world, checker, gauge, now, entries);
    tell?.({ atMs: now(), reads: checker.reads, violations: checker.violations.length, ...state });
  }, 1_000);
  cleanup.defer(() => clearInterval(everySecond));

  const performing: Promise<void>[] = [];
  const perform = async (planned: PlannedOperation): Promise<void> => {
    const { operation } = planned;
    const beganAtMs = now();
    const { attempts, outcome } = await operations.perform(operation);
    const endedAtMs = now();
    state.operations += 1;
    entries.push({ type: 'operation', atMs: beganAtMs, endedAtMs, kind: operation.kind, what: describe(planned), attempts, outcome });
    if (operation.kind === 'put' && (checker.history(operation.key).latest.bytes?.length ?? 0) < SMALL_BYTES)
      checker.uploaded(operation.key, beganAtMs, endedAtMs);
  };
  // What is there before the first reader comes.
  await Promise.all(plan.operations.filter(({ atMs }) => atMs === 0).map(perform));
  const readers = [...names, `edge ${GUEST.id}`].map(readersOf);
  cleanup.defer(async () => {
    await Promise.all(readers.map((each) => each.stop()));
  });
  const offsetMs = now();
  const until = (atMs: number): Promise<void> => pause(Math.max(0, atMs + offsetMs - now()));
  const striking = plan.faults.map(async (fault) => {
    await until(fault.atMs);
    await strike(world, checker, fault, now, entries, state);
  });
  const guest = visit(world, plan, present, until, checker, now);
  for (const planned of plan.operations) {
    if (planned.atMs === 0) continue;
    await until(planned.atMs);
    performing.push(perform(planned));
  }
  await until(plan.durationMs);
  state.doing = 'healing';
  await Promise.all([...striking, guest]);

  await settle(world, checker, now);
  state.doing = 'waiting for what was not accepted yet';
  const accepted = await Promise.race([Promise.all(performing).then(() => true), pause(ACCEPTED_WITHIN_MS, false)]);
  if (!accepted) checker.accuse({ invariant: 'durability', atMs: now(), what: 'operations are not accepted although everything runs' });
  state.doing = 'waiting until every edge has the catalog';
  await Promise.all(
    [...world.stack.edges.values()].map(async ({ name, url }) => {
      const afterMs = await converged(name, url, checker, now);
      if (afterMs !== undefined) entries.push({ type: 'converged', edge: name, afterMs });
    }),
  );
  await expectKept(world, checker, now);
  state.doing = 'waiting until nothing waits';
  await quiet(world, observer, checker, now);
  state.doing = 'edges alone';
  await Promise.all(readers.map((each) => each.stop()));
  await expectServedAlone(world, checker, now);
  await second(world, checker, gauge, now, entries);
  // They have nobody left to say goodbye to.
  await Promise.all(world.stack.members.map((member) => member.kill()));
  for (const violation of checker.violations) entries.push({ type: 'violation', ...violation });
  entries.push({ type: 'end', atMs: now() });
  return entries;
}

function describe({ operation }: PlannedOperation): string {
  const { kind, ...rest } = operation;
  return JSON.stringify(rest);
}

async function strike(
  world: World,
  checker: Checker,
  { fault, target, lastsMs }: PlannedFault,
  now: () => number,
  entries: LogEntry[],
  state: { strikes: number },
): Promise<void> {
  const atMs = now();
  // Also what happens while it is about to strike.
  const healed = checker.struck(fault.excuses(target), atMs);
  try {
    const heal = await fault.strike(world, target);
    if (heal === undefined) {
      entries.push({ type: 'skipped', atMs, name: fault.name, why: `${target.what} was struck by something else` });
      return;
    }
    state.strikes += 1;
    await pause(lastsMs);
    await heal();
    entries.push({ type: 'fault', atMs, healedAtMs: now(), name: fault.name, what: target.what });
  } catch (error) {
    checker.accuse({
      invariant: 'availability',
      atMs: now(),
      what: `${fault.name} at ${target.what} does not heal: ${(error as Error).message}`,
    });
  } finally {
    healed(now());
  }
}

/** An edge joins, leaves for longer than the origin remembers removals, and returns. */
async function visit(
  world: World,
  { durationMs }: Plan,
  present: Set<string>,
  until: (atMs: number) => Promise<void>,
  checker: Checker,
  now: () => number,
): Promise<void> {
  const name = `edge ${GUEST.id}`;
  const come = async (start: () => Promise<unknown>): Promise<void> => {
    const arrived = checker.struck({ unavailable: [name] }, now());
    await start();
    arrived(now());
    present.add(name);
  };
  await until(0.1 * durationMs);
  await come(() => world.stack.addEdge(GUEST, { ready: false }));
  await until(0.3 * durationMs);
  const gone = checker.struck({ unavailable: [name] }, now());
  present.delete(name);
  await world.member(name).stop();
  await until(0.7 * durationMs);
  await come(() => world.member(name).start({ ready: false }));
  gone(now());
}

async function restart(world: World, name: string): Promise<void> {
  if (name === 'the broker') return;
  const member = world.member(name);
  if (!member.running && !world.taken.has(name)) await member.start({ ready: false }).catch(() => {});
}

/** Everything runs, and says that it is ready. */
async function settle(world: World, checker: Checker, now: () => number): Promise<void> {
  await Promise.all(
    world.stack.members.map(async (member) => {
      try {
        if (!member.running) await member.start({ ready: false });
        await member.waitUntilReady(READY_WITHIN_MS);
      } catch (error) {
        checker.accuse({
          invariant: 'convergence',
          atMs: now(),
          edge: member.name,
          what: `not ready after all faults have healed: ${(error as Error).message.slice(0, 2_000)}`,
        });
      }
    }),
  );
}

async function converged(name: string, url: string, checker: Checker, now: () => number): Promise<number | undefined> {
  const begunAtMs = now();
  const left = new Set(keysOf());
  let wrong = '';
  for (;;) {
    for (const key of left) {
      checker.begin(name, key);
      const problem = await problemOf(url, key, checker);
      checker.ended(name, key, now());
      if (problem === undefined) left.delete(key);
      else wrong = `${key}: ${problem}`;
    }
    const afterMs = now() - begunAtMs;
    if (left.size === 0) return afterMs;
    if (afterMs > CONVERGED_WITHIN_MS) {
      checker.accuse({
        invariant: 'convergence',
        atMs: now(),
        edge: name,
        what: `${left.size} keys are wrong ${afterMs} ms after everything was ready, as ${wrong}`,
      });
      return undefined;
    }
    await pause(100);
  }
}

/** What is wrong with what stands there, compared with the last that was accepted. */
async function problemOf(url: string, key: string, checker: Checker): Promise<string | undefined> {
  const { bytes, version } = checker.history(key).latest;
  try {
    const response = await fetch(`${url}/${key}`, { signal: AbortSignal.timeout(20_000) });
    const body = Buffer.from(await response.arrayBuffer());
    if (response.status !== (bytes === undefined ? 404 : 200))
      return `answered ${response.status} and not ${bytes === undefined ? 404 : 200}`;
    if (bytes === undefined || body.equals(bytes)) return undefined;
    return `${body.length} B of version ${response.headers.get('x-sluice-version')}, and not the ${bytes.length} B of ${version}`;
  } catch (error) {
    return (error as Error).message;
  }
}

async function expectKept(world: World, checker: Checker, now: () => number): Promise<void> {
  for (const key of keysOf()) {
    const problem = await problemOf(world.origin.url, key, checker);
    if (problem !== undefined) checker.accuse({ invariant: 'durability', atMs: now(), key, what: `at the origin: ${problem}` });
  }
}

/** With nothing to do, nothing waits: no event for origin or controllers, no command for an edge. */
async function quiet(world: World, observer: Observer, checker: Checker, now: () => number): Promise<void> {
  const waiting = async (): Promise<string[]> => {
    const events = [...(await observer.unacknowledged())].map(([name, count]) => [count, `events for ${name}`] as const);
    const commands = await Promise.all(
      world.controllers.map(async ({ name, url }) => {
        const metrics = await (await fetch(`${url}/metrics`)).text();
        return [Number(/^sluice_controller_queued_commands(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1]), `commands in ${name}`] as const;
      }),
    );
    return [...events, ...commands].filter(([count]) => count !== 0).map(([count, what]) => `${count} ${what}`);
  };
  let left: string[] = [];
  for (const deadlineMs = now() + QUIET_WITHIN_MS; now() < deadlineMs; await pause(100)) {
    left = await waiting();
    if (left.length === 0) return;
  }
  checker.accuse({ invariant: 'boundedness', atMs: now(), what: `although nothing happens there wait ${left.join(', ')}` });
}

/** Origin, controllers and broker are gone, and edges serve what they hold. */
async function expectServedAlone(world: World, checker: Checker, now: () => number): Promise<void> {
  const edges = [...world.stack.edges.values()];
  const held = new Map<string, string[]>();
  for (const { name, url } of edges) {
    // What is placed elsewhere is confirmed for each visitor: the feed of this region does not tell of it.
    const regionOf = [...EDGES, GUEST].find(({ id }) => name === `edge ${id}`)?.region ?? '';
    const existing = keysOf().filter((key) => {
      const { bytes, regions } = checker.history(key).latest;
      return bytes !== undefined && (regions.length === 0 || regions.includes(regionOf));
    });
    const kept: string[] = [];
    let other = '';
    for (const key of existing) {
      const status = await cacheStatusOf(url, key);
      if (isHit({ cacheStatus: status })) kept.push(key);
      else other = `${key}: "${status}"`;
    }
    held.set(name, kept);
    if (kept.length < HELD_SHARE * existing.length)
      checker.accuse({
        invariant: 'availability',
        atMs: now(),
        edge: name,
        what: `it holds ${kept.length} of ${existing.length} objects that were just read, and not ${other}`,
      });
  }
  await Promise.all([...[world.origin, ...world.controllers].map((member) => member.kill()), world.broker.kill()]);
  for (const { name, url } of edges) {
    for (const key of held.get(name) ?? []) {
      const problem = await problemOf(url, key, checker);
      if (problem !== undefined)
        checker.accuse({
          invariant: 'availability',
          atMs: now(),
          edge: name,
          key,
          what: `alone, it does not serve what it held: ${problem}`,
        });
    }
  }
}

/** How an edge answers when it is asked for the second time, if not by itself before. */
async function cacheStatusOf(url: string, key: string): Promise<string> {
  let status = '';
  for (let attempt = 0; attempt < 2 && !isHit({ cacheStatus: status }); attempt += 1) {
    const response = await fetch(`${url}/${key}`, { signal: AbortSignal.timeout(20_000) });
    await response.arrayBuffer();
    status = response.headers.get('cache-status') ?? '';
  }
  return status;
}

class Gauge {
  latenciesMs: number[] = [];
  reads = 0;
  excused = 0;
}

async function second(world: World, checker: Checker, gauge: Gauge, now: () => number, entries: LogEntry[]): Promise<void> {
  const latencies = gauge.latenciesMs.sort((a, b) => a - b);
  gauge.latenciesMs = [];
  const at = (share: number): number => latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? 0;
  const [reads, excused] = [checker.reads - gauge.reads, checker.excused - gauge.excused];
  [gauge.reads, gauge.excused] = [checker.reads, checker.excused];
  const rssBytes: Record<string, number> = {};
  for (const member of world.stack.members) {
    const bytes = member.running ? await rssOf(member.pid) : undefined;
    if (bytes === undefined) continue;
    rssBytes[member.name] = bytes;
    if (bytes > RSS_MAX_BYTES)
      checker.accuse({ invariant: 'boundedness', atMs: now(), edge: member.name, what: `uses ${Math.round(bytes / 1e6)} MB of memory` });
  }
  entries.push({ type: 'second', atMs: now(), reads, excused, p50Ms: at(0.5), p99Ms: at(0.99), rssBytes });
}

async function rssOf(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}
