/** The thread behind `md5-threads.ts`: one body at a time. */
import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { Md5Ring, type RingMemory } from './md5-ring.ts';

parentPort?.on('message', (memory: RingMemory) => {
  const hash = createHash('md5');
  const complete = new Md5Ring(memory).readAll((piece) => void hash.update(piece));
  parentPort?.postMessage(complete ? hash.digest('hex') : '');
});
