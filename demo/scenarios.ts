/** What Sluice promises, one scenario at a time, on real processes and a real broker. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { directorySource } from './directory-source.ts';
import { s3Client } from './s3-client.ts';
import { describeOutcome, movedBytes, outcomeOf, type Stage } from './stage.ts';

const EDGES = ['us-1', 'eu-1', 'in-1'] as const;

export type Scenario = (stage: Stage) => Promise<void>;

export const SCENARIOS: readonly (readonly [title: string, scenario: Scenario])[] = [
  ['Standard upload: every region serves it', standardUpload],
  ['Region-specific upload: only US and IN are sent it, EU serves it on demand', regionUpload],
  ['Deduplication: the same bytes again move nothing', deduplication],
  ['Delta: a new version of a real script moves a few per cent', delta],
  ['Content coding: br, zstd and gzip follow, and each visitor gets the smallest that it accepts', contentCoding],
  ['Invalidation: stale everywhere, nothing fetched until someone asks, then one revalidation', invalidation],
  ['Pull fallback: an edge is killed with kill -9 and loses its disk', lostDisk],
  ['A push that fails is healed by catching up', failedPush],
  ['From the nats CLI: events published by hand', byHand],
  ['Rollback: the version before is current again everywhere, and moves nothing', rollback],
  ['From an S3 client: a directory is synced', s3Client],
  ['A directory as the source: the edges follow its files', directorySource],
  ['A hung edge (SIGSTOP) delays no other, and a dead listener is forgotten', hungEdge],
];

async function standardUpload(stage: Stage): Promise<void> {
  const page = '<h1>Hello from the edge</h1>';
  const distributed = await stage.upload('site/index.html', page, { 'content-type': 'text/html' });
  stage.check(
    distributed.complete && distributed.edges.length === 3,
    'confirmed by all three edges',
    distributed.edges.map(describeOutcome).join('; '),
  );
  for (const edge of EDGES) {
    const visit = await stage.visit(edge, 'site/index.html');
    stage.check(
      visit.status === 200 && visit.body.toString() === page,
      `${edge} serves it`,
      `${visit.status}, Cache-Status: ${visit.cacheStatus}`,
    );
  }
}

async function regionUpload(stage: Stage): Promise<void> {
  const bytes = randomBytes(50_000);
  const before = await stage.transferredBytes('eu-1');
  const distributed = await stage.upload('site/cricket.mp4', bytes, { 'x-amz-meta-regions': 'US,IN' });
  const sent = distributed.edges.map(({ edge }) => edge).sort();
  stage.check(sent.join() === 'in-1,us-1', 'pushed to us-1 and in-1 only', distributed.edges.map(describeOutcome).join('; '));
  stage.check((await stage.transferredBytes('eu-1')) === before, 'nothing moved to eu-1');
  for (const edge of ['us-1', 'in-1']) {
    const visit = await stage.visit(edge, 'site/cricket.mp4');
    stage.check(visit.cacheStatus === `${edge};hit`, `${edge} holds it`, `Cache-Status: ${visit.cacheStatus}`);
  }
  const pulled = await stage.visit('eu-1', 'site/cricket.mp4');
  stage.check(
    pulled.body.equals(bytes) && pulled.cacheStatus.includes('fwd=uri-miss'),
    'eu-1 pulls it when asked',
    `Cache-Status: ${pulled.cacheStatus}`,
  );
}

async function deduplication(stage: Stage): Promise<void> {
  const bytes = randomBytes(200_000);
  const first = await stage.upload('site/logo.png', bytes);
  stage.note(`first upload: ${movedBytes(first)} B moved`);
  const same = await stage.upload('site/logo.png', bytes);
  stage.check(
    same.complete && movedBytes(same) === 0,
    'the same bytes under the same key: 0 B moved',
    same.edges.map(describeOutcome).join('; '),
  );
  const other = await stage.upload('site/copy-of-logo.png', bytes);
  stage.check(other.complete && movedBytes(other) === 0, 'under another key: 0 B moved', other.edges.map(describeOutcome).join('; '));
  const visit = await stage.visit('in-1', 'site/copy-of-logo.png');
  stage.check(visit.body.equals(bytes), 'in-1 serves the copy', `Cache-Status: ${visit.cacheStatus}`);
}

async function delta(stage: Stage): Promise<void> {
  const version1 = await readFile(join(import.meta.dirname, '../node_modules/lodash/lodash.js'), 'utf8');
  const version2 = version1
    .replaceAll('Creates an array of', 'Makes an array of')
    .replace("var VERSION = '", "var BUILD = 42;\n\n  var VERSION = '")
    .replace('function arrayEach(', 'function arrayForEach(');
  await stage.upload('site/lodash.js', version1, { 'content-type': 'text/javascript' });
  const distributed = await stage.upload('site/lodash.js', version2, { 'content-type': 'text/javascript' });
  const size = Buffer.byteLength(version2);
  const largest = Math.max(...distributed.edges.map(({ bytes }) => bytes));
  const share = ((largest / size) * 100).toFixed(2);
  stage.check(version1 !== version2 && size > 500_000, `lodash.js with a real edit, ${size} B`);
  stage.check(
    distributed.edges.every(({ transfer }) => transfer === 'delta'),
    'sent as a patch',
    distributed.edges.map(describeOutcome).join('; '),
  );
  stage.check(largest < size * 0.05, `${share} % of its size moved to each edge`);
  for (const edge of EDGES) {
    const visit = await stage.visit(edge, 'site/lodash.js');
    stage.check(visit.body.toString() === version2, `${edge} serves exactly the new version`, `${visit.body.byteLength} B`);
  }
}

async function contentCoding(stage: Stage): Promise<void> {
  const script = (await stage.visit('us-1', 'site/lodash.js')).body;
  for (const edge of EDGES) {
    const sizes: string[] = [];
    for (const coding of ['br', 'zstd', 'gzip']) {
      const got = await stage.until(`${coding} at ${edge}`, async () => {
        const visit = await stage.visit(edge, 'site/lodash.js', { 'accept-encoding': coding });
        return visit.coding === coding ? visit : undefined;
      });
      if (!got.body.equals(script)) throw new Error(`${coding} at ${edge} does not decode to the script`);
      sizes.push(`${coding} ${got.contentLength} B`);
    }
    stage.check(true, `${edge} serves it in each coding, and each decodes to the same script`, sizes.join(', '));
  }
  const browser = await stage.visit('us-1', 'site/lodash.js', { 'accept-encoding': 'gzip, deflate, br, zstd' });
  stage.check(
    browser.coding === 'br' && browser.contentLength < script.byteLength / 4,
    'a browser gets br',
    `${browser.contentLength} of ${script.byteLength} B`,
  );
  const plain = await stage.visit('us-1', 'site/lodash.js', { 'accept-encoding': 'identity' });
  stage.check(plain.coding === '' && plain.contentLength === script.byteLength, 'who accepts no coding gets none');
}

async function rollback(stage: Stage): Promise<void> {
  const [good, bad] = [`good ${randomBytes(50_000).toString('hex')}`, `bad ${randomBytes(50_000).toString('hex')}`];
  await stage.upload('site/release.txt', good);
  await stage.upload('site/release.txt', bad);
  const distributed = await stage.rollBack('site/release.txt');
  stage.check(
    distributed.complete && movedBytes(distributed) === 0,
    'rolled back: 0 B moved',
    distributed.edges.map(describeOutcome).join('; '),
  );
  for (const edge of EDGES) {
    const visit = await stage.visit(edge, 'site/release.txt');
    stage.check(visit.body.toString() === good, `${edge} serves the version before`, `Cache-Status: ${visit.cacheStatus}`);
  }
}

async function invalidation(stage: Stage): Promise<void> {
  const before = await Promise.all(EDGES.map((edge) => stage.transferredBytes(edge)));
  const asked = await resolves(stage);
  const distributed = await stage.invalidate({ prefix: 'site/' });
  const confirmed = distributed.edges.filter(({ outcome }) => outcome === 'invalidated').length;
  stage.check(confirmed === 3, 'confirmed as stale by all three edges', distributed.edges.map(describeOutcome).join('; '));
  stage.check((await resolves(stage)) === asked, 'nobody asked the origin yet');
  const visits = await Promise.all(Array.from({ length: 20 }, () => stage.visit('us-1', 'site/lodash.js')));
  const statuses = [...new Set(visits.map(({ cacheStatus }) => cacheStatus))];
  stage.check((await resolves(stage)) === asked + 1, '20 visitors at once: one revalidation at the origin', statuses.join(' | '));
  const again = await stage.visit('us-1', 'site/lodash.js');
  stage.check(again.cacheStatus === 'us-1;hit', 'then it is fresh again', `Cache-Status: ${again.cacheStatus}`);
  const after = await Promise.all(EDGES.map((edge) => stage.transferredBytes(edge)));
  stage.check(after.join() === before.join(), 'no content bytes moved');
}

/** How often the origin was asked for the current version of a key and had one. */
async function resolves(stage: Stage): Promise<number> {
  return stage.metric(stage.stack.origin, 'sluice_origin_fetches_total{outcome="resolve_found"');
}

async function lostDisk(stage: Stage): Promise<void> {
  const edge = stage.stack.edge('eu-1');
  const names = ['index.html', 'logo.png', 'lodash.js', 'cricket.mp4'];
  const expected = new Map(await Promise.all(names.map(async (name) => [name, (await stage.visit('us-1', `site/${name}`)).body] as const)));
  const fresh = await Promise.all(Array.from({ length: 20 }, (_, index) => stage.upload(`site/fresh/${index}`, randomBytes(20_000))));
  stage.note(`20 more objects uploaded, confirmed by ${Math.min(...fresh.map(({ edges }) => edges.length))} edges each`);
  await edge.kill();
  await edge.wipe();
  await edge.start();
  stage.note('eu-1 was killed with SIGKILL, its data directory removed, and it was started again');
  for (const [name, body] of expected) {
    const visit = await stage.visit('eu-1', `site/${name}`);
    stage.check(visit.body.equals(body), `it answers correctly for ${name}`, `Cache-Status: ${visit.cacheStatus}`);
  }
  await stage.until('the refill of eu-1', async () =>
    (await stage.metric(edge, 'sluice_edge_blobs{')) >= names.length + 20 ? true : undefined,
  );
  const asked = await resolves(stage);
  const visits = await Promise.all(Array.from({ length: 20 }, (_, index) => stage.visit('eu-1', `site/fresh/${index}`)));
  const hits = visits.filter(({ cacheStatus }) => cacheStatus === 'eu-1;hit').length;
  stage.check(
    hits === 20 && (await resolves(stage)) === asked,
    'and has refilled by itself what nobody asked for',
    `${hits} of 20 fresh objects are hits`,
  );
}

async function failedPush(stage: Stage): Promise<void> {
  const edge = stage.stack.edge('in-1');
  await edge.kill();
  const distributed = await stage.upload('site/news.html', 'news');
  const missed = outcomeOf(distributed, 'in-1');
  stage.check(
    !distributed.complete && missed?.outcome === 'unreachable',
    'the push to the killed in-1 fails, and the outcome says so',
    missed && describeOutcome(missed),
  );
  await edge.start();
  const visit = await stage.visit('in-1', 'site/news.html');
  stage.check(visit.body.toString() === 'news', 'started again it has caught up', `Cache-Status: ${visit.cacheStatus}`);
}

async function byHand(stage: Stage): Promise<void> {
  const announced = nextOutcome(stage, 'site/index.html', 'uploaded');
  stage.bus.connection.publish('content.uploaded', JSON.stringify({ key: 'site/index.html' }));
  const uploaded = await announced;
  stage.check(
    uploaded.complete,
    'content.uploaded {"key":"site/index.html"} is announced and pushed again',
    uploaded.edges.map(describeOutcome).join('; '),
  );
  const marked = nextOutcome(stage, 'key=site/index.html', 'invalidated');
  stage.bus.connection.publish('content.invalidated', JSON.stringify({ key: 'site/index.html' }));
  const invalidated = await marked;
  stage.check(
    invalidated.complete,
    'content.invalidated {"key":"site/index.html"} reaches every edge',
    invalidated.edges.map(describeOutcome).join('; '),
  );
  const rejected = nextMessage<{ reason: string }>(stage, 'content.rejected', () => true);
  stage.bus.connection.publish('content.uploaded', '{"key":"../etc/passwd"}');
  const { reason } = await rejected;
  stage.check(reason.includes('key'), 'a bad event comes out on content.rejected and blocks nothing', reason);
}

async function hungEdge(stage: Stage): Promise<void> {
  const edge = stage.stack.edge('in-1');
  await stage.until('in-1 to be known', async () => ((await stage.livingEdges()).includes('in-1') ? true : undefined));
  edge.pause();
  const startedAt = performance.now();
  const eventIds = await Promise.all(
    Array.from({ length: 10 }, (_, index) => stage.uploadOnly(`site/while-hung-${index}.txt`, `text ${index}`)),
  );
  const served = await Promise.all(
    ['us-1', 'eu-1'].map(async (other) => {
      await stage.until(`${other} to serve`, async () =>
        (await stage.visit(other, 'site/while-hung-9.txt')).cacheStatus === `${other};hit` ? true : undefined,
      );
      return `${other} after ${Math.round(performance.now() - startedAt)} ms`;
    }),
  );
  stage.check(performance.now() - startedAt < 2_000, 'ten uploads reach the other edges while in-1 hangs', served.join('; '));
  const distributed = await Promise.all(eventIds.map((id) => stage.distributed(id)));
  const others = distributed.flatMap(({ edges }) => edges.filter((outcome) => outcome.edge !== 'in-1').map(({ ms }) => ms));
  const hung = distributed.map((outcome) => outcomeOf(outcome, 'in-1')).filter((outcome) => outcome !== undefined);
  stage.check(
    Math.max(...others) < 2_000 && hung.some(({ outcome }) => outcome === 'unreachable'),
    'the others confirmed at once, in-1 was given up when its lease ran out',
    `others: at most ${Math.round(Math.max(...others))} ms; in-1: ${hung.map(({ outcome, ms }) => `${outcome} after ${Math.round(ms)} ms`)[0]}`,
  );
  const living = await stage.until('in-1 to be forgotten', async () => {
    const ids = await stage.livingEdges();
    return ids.includes('in-1') ? undefined : ids;
  });
  const forgottenAfterMs = performance.now() - startedAt;
  stage.check(
    forgottenAfterMs < 6_500,
    `the dead listener is forgotten after ${(forgottenAfterMs / 1000).toFixed(1)} s`,
    `the controller knows ${living.join(', ')}`,
  );
  edge.resume();
  await stage.until('in-1 to be back', async () => ((await stage.livingEdges()).includes('in-1') ? true : undefined));
  const visit = await stage.visit('in-1', 'site/while-hung-9.txt');
  stage.check(
    visit.body.toString() === 'text 9',
    'woken up it is back in the plan and answers correctly',
    `Cache-Status: ${visit.cacheStatus}`,
  );
}

function nextOutcome(stage: Stage, subject: string, event: string) {
  return nextMessage<{ complete: boolean; edges: Parameters<typeof describeOutcome>[0][] }>(
    stage,
    'content.distributed',
    (message) => message.subject === subject && message.event === event,
  );
}

function nextMessage<Message>(stage: Stage, subject: string, matches: (message: Record<string, unknown>) => boolean): Promise<Message> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no such message on ${subject}`)), 10_000);
    const subscription = stage.bus.connection.subscribe(subject, {
      callback: (_error, message) => {
        const decoded = message.json<Record<string, unknown>>();
        if (!matches(decoded)) return;
        clearTimeout(timer);
        subscription.unsubscribe();
        resolve(decoded as Message);
      },
    });
  });
}
