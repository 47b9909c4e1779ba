/** Puts together what one serving thread is: visitors' requests in, answers out of what the replica keeps. */
import type { MessagePort } from 'node:worker_threads';
import { BlobView } from '@sluice/blobs';
import { errorToWire } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import { openAccessLog } from './adapters/access-log-file.ts';
import { CatalogView } from './adapters/catalog-view.ts';
import { Hits } from './adapters/hits.ts';
import { startHttpServer } from './adapters/http-server.ts';
import { IndexStamps } from './adapters/index-stamps.ts';
import { Peers } from './adapters/peers.ts';
import { ReplicaState } from './adapters/replica-state.ts';
import { ServingCounters } from './adapters/serving-counters.ts';
import { VisitorHandler } from './adapters/visitor-handler.ts';
import { forwardedScheme } from './domain/client-address.ts';
import type { ProxyRefusal } from './metrics.ts';
import { AbsentKeys } from './services/absent-keys.ts';
import { Answers } from './services/answers.ts';
import { DetachedSources } from './services/detached-source.ts';
import { MemoryTier } from './services/memory-tier.ts';
import { missingVariants } from './services/missing-variants.ts';
import { ReadableFills } from './services/readable-fills.ts';
import { ReplicaLink } from './services/replica-link.ts';
import type { EdgeDatabase, ServingSetup } from './services/serving-messages.ts';
import { Sharing } from './services/sharing.ts';
import { UsedBlobs } from './services/used-blobs.ts';

/** Serves until it is told to drain. All that it is told and tells goes through `port`, see `serving-messages.ts`. */
export function startServing(setup: ServingSetup, port: MessagePort, clock: Clock, log: Logger): void {
  let { sites } = setup.files;
  const generations = { ...setup.generations };
  /** Once for each: the replica does what is to be done. */
  const toldOf = { index: -1, blobs: -1 };
  const tellDamaged = (database: EdgeDatabase): void => {
    const generation = generations[database];
    if (toldOf[database] === generation) return;
    toldOf[database] = generation;
    link.tell({ kind: 'database-damaged', database, generation });
  };
  const index = new CatalogView(setup.indexPath, new IndexStamps(setup.stamps), () => tellDamaged('index'));
  const state = new ReplicaState(setup.state);
  const counters = new ServingCounters(setup.counters);
  const link = new ReplicaLink(port, (message) => {
    switch (message.kind) {
      case 'memory':
        for (const change of message.changes) memory.follow(change);
        return;
      case 'fill':
        return fills.add(message.fill);
      case 'filled':
        return fills.delete(message.sha256);
      case 'files':
        sites = message.files.sites;
        return void server.then(({ use }) => use(message.files.certificates));
      case 'database-replaced':
        generations[message.database] = message.generation;
        return message.database === 'index' ? index.reopen() : blobs.reopen();
      case 'reopen-log':
        return void opened.then((log) => log?.writer.reopen());
      case 'drain':
        return void drain();
    }
  });
  const fills = new ReadableFills({ link, clock, verifiedOnly: setup.verifiedOnly });
  const detached = new DetachedSources(link, clock, setup.verifiedOnly);
  let filesLookedFor: Promise<void> = Promise.resolve();
  const lookFor = (sha256: string): void => {
    filesLookedFor = Promise.all([filesLookedFor, link.ask('lookFor', sha256)]).then(() => {});
  };
  const blobs = new BlobView(setup.blobsDir, lookFor, () => tellDamaged('blobs'));
  const sharing = new Sharing(clock, (blobs) => link.tell({ kind: 'share', blobs }));
  const memory = new MemoryTier({
    blobs,
    trialBytes: setup.trialBytes,
    uses: setup.uses,
    isFull: () => Atomics.load(setup.memoryFull, 0) === 1,
    share: (blob) => sharing.add(blob),
  });
  const used = new UsedBlobs(clock, (uses) => {
    counters.set('trialBytes', memory.trialBytes);
    link.tell({ kind: 'used', uses });
  });
  const absentKeys = new AbsentKeys(clock, setup.negativeTtlMs, (stamp) => index.holds(stamp));
  const answers = new Answers({
    index,
    blobs,
    memory,
    fills,
    state,
    absentKeys,
    clock,
    log,
    pull: (question) => link.ask('pull', question),
  });
  const peers = new Peers(setup.trustedProxies);
  const bringVariant = missingVariants((variant) => link.tell({ kind: 'variant-missing', variant }), clock);
  const hits = new Hits({ edgeId: setup.edgeId, memory, blobs, used, bringVariant });
  const handler = new VisitorHandler({
    ...{ edgeId: setup.edgeId, blobs, memory, fills, answers, hits, clock, counters },
    bringDetached: (manifest, ranges, withdrawn) => detached.bring(manifest, ranges, withdrawn),
    forwardedScheme: (request) => forwardedScheme(peers.of(request.socket), request.headers),
    sites: () => sites,
    filesLookedFor: () => filesLookedFor,
  });

  const opened = openAccessLog(setup, { peers, counters, clock, log });
  const proxyProtocol = setup.proxyProtocol ? { peers, onRefused: (reason: ProxyRefusal) => counters.add(`proxy-${reason}`) } : undefined;
  const server = opened.then((opened) =>
    startHttpServer({
      ...{ handler, log, proxyProtocol, accessLog: opened?.log },
      ...{ host: setup.host, port: setup.port, reusePort: setup.reusePort, limits: { connectionsMax: setup.connectionsMax } },
      tls: setup.tlsPort === undefined ? undefined : { port: setup.tlsPort, certificates: setup.files.certificates },
      operations: (path, credentials) => link.ask('operations', { path, credentials }),
    }),
  );
  server.then(
    ({ port: bound, tlsPort }) => link.tell({ kind: 'listening', port: bound, tlsPort }),
    (error: NodeJS.ErrnoException) => link.tell({ kind: 'failed', error: { ...errorToWire(error), message: error.message } }),
  );

  const drain = async (): Promise<void> => {
    await (await server).stop();
    await (await opened)?.writer.close();
    used.flush();
    index.close();
    blobs.close();
    link.tell({ kind: 'drained' });
    link.close();
  };
}
