import PQueue from 'p-queue';

/** Cases at once. They wait more than they work: for syncs of the disk, for the broker, for a process to start. */
export const CONCURRENCY = 6;

/** Runs all cases, several at a time, each with its number. @throws what the first that fails throws; then no other one begins */
export async function runAll<Case>(cases: readonly Case[], run: (each: Case, position: number) => Promise<void>): Promise<void> {
  const queue = new PQueue({ concurrency: CONCURRENCY });
  try {
    await Promise.all(cases.map((each, position) => queue.add(() => run(each, position))));
  } finally {
    queue.clear();
    await queue.onIdle();
  }
}
