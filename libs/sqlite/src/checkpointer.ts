/**
 * Checkpoints databases from a thread of its own. A checkpoint copies pages and syncs two files, tens of milliseconds in which the thread that
 * does it answers nobody; SQLite lets another connection do it beside the writer.
 */
import { Worker } from 'node:worker_threads';

export interface Checkpointer {
  /** Ends the thread; a checkpoint under way is finished first. Close the databases after that. */
  stop(): Promise<void>;
}

/** Begins to checkpoint the databases at `paths` every `intervalMs`. `onError` hears when that fails; it goes on trying. */
export function startCheckpointer(paths: readonly string[], intervalMs: number, onError: (error: Error) => void = () => {}): Checkpointer {
  const worker = new Worker(new URL('./checkpointer.worker.ts', import.meta.url), {
    workerData: { paths, intervalMs },
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
    env: {},
    execArgv: [],
  });
  worker.unref();
  worker.on('message', (message: string) => onError(new Error(message)));
  worker.on('error', onError);
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  return {
    stop: async () => {
      worker.ref();
      worker.postMessage('stop');
      await ended;
    },
  };
}
