import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

const { paths, intervalMs } = workerData as { readonly paths: readonly string[]; readonly intervalMs: number };
const databases = paths.map((path) => new DatabaseSync(path));
for (const db of databases) db.exec('PRAGMA busy_timeout = 1000');

const timer = setInterval(() => {
  for (const db of databases) {
    try {
      // Takes what it can without holding anybody up: https://www.sqlite.org/c3ref/wal_checkpoint_v2.html
      db.exec('PRAGMA wal_checkpoint(PASSIVE)');
    } catch (error) {
      parentPort?.postMessage((error as Error).message);
    }
  }
}, intervalMs);

parentPort?.once('message', () => {
  clearInterval(timer);
  for (const db of databases) db.close();
  parentPort?.close();
});
