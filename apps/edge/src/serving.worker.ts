/** A thread that serves. */
import { parentPort, workerData } from 'node:worker_threads';
import { createLogger, systemClock } from '@sluice/runtime';
import type { ServingSetup } from './services/serving-messages.ts';
import { startServing } from './serving.ts';

const setup = workerData as ServingSetup;
if (parentPort === null) throw new Error('this file runs in a thread of an edge');
startServing(setup, parentPort, systemClock, createLogger('edge', setup.logLevel, { edge: setup.edgeId }));
