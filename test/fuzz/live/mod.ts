/** Targets that are apps as they run, asked over real connections. */
import type { Outcome } from '../attempt.ts';
import type { RunOptions } from '../thread.ts';
import { fuzzBroker } from './broker.ts';
import { fuzzControllerHttp, fuzzEdgeHttp, fuzzEdgeHttp2, fuzzLanes, fuzzOriginHttp } from './http.ts';

export interface LiveTarget {
  readonly name: string;
  /** What is sent, and what must be true, in a sentence. */
  readonly law: string;
  readonly run: (options: RunOptions) => Promise<Outcome>;
}

export const LIVE_TARGETS: readonly LiveTarget[] = [
  {
    name: 'broker',
    law: 'whatever comes on a subject, each request gets a reply of the contract, and all apps work as before',
    run: fuzzBroker,
  },
  { name: 'edge-http', law: 'an edge answers any bytes with whole responses or the end of the connection', run: fuzzEdgeHttp },
  { name: 'edge-lanes', law: 'a request gets the same answer in the fast lane as from node:http', run: fuzzLanes },
  { name: 'edge-http2', law: 'whatever frames come, the connection ends and the edge works as before', run: fuzzEdgeHttp2 },
  { name: 'origin-http', law: 'an origin answers any bytes with whole responses or the end of the connection', run: fuzzOriginHttp },
  {
    name: 'controller-http',
    law: 'a controller answers any bytes with whole responses or the end of the connection',
    run: fuzzControllerHttp,
  },
];
