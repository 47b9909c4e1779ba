/** SQLite as Sluice uses it: the log ahead, checkpoints beside. */
export type { Checkpointer } from './checkpointer.ts';
export { startCheckpointer } from './checkpointer.ts';
export { DatabaseDamagedError, isDatabaseDamaged, removeDatabase } from './damage.ts';
export { DataDirInUseError, lockDataDir } from './data-dir-lock.ts';
export type { Durability } from './open-database.ts';
export { openDatabase, openForReading } from './open-database.ts';
export { Transactions } from './transactions.ts';
