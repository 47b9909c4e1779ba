/** Edges that are started without a name of their own, as replicas are, share the credentials of several: each takes those of one that is not running. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { edgeId } from '@sluice/contracts';
import { ConfigError } from '@sluice/runtime';
import { DataDirInUseError, lockDataDir } from '@sluice/sqlite';
import type { EdgeConfig } from '../config.ts';

/** What nobody refers to any more is collected, and a lock that is collected is given back. */
const held: object[] = [];

/**
 * The configuration with the id, the key and the authority of the first directory in `EDGE_CREDENTIALS_DIR` that no edge uses. It is held until this process ends, in whatever way;
 * the edges have to be on one machine. Without `EDGE_CREDENTIALS_DIR` it is the configuration as it is.
 * @throws {ConfigError} when there is no free one
 */
export function claimCredentials(config: EdgeConfig): EdgeConfig {
  const { EDGE_CREDENTIALS_DIR: dir } = config;
  if (dir === undefined) return config;
  const ids = idsIn(dir);
  for (const id of ids) {
    const own = join(dir, id);
    try {
      held.push(lockDataDir(own, 'edge'));
    } catch (error) {
      if (error instanceof DataDirInUseError) continue;
      throw new ConfigError([`EDGE_CREDENTIALS_DIR: ${own} cannot be claimed: ${(error as Error).message}`]);
    }
    return Object.freeze({ ...config, EDGE_ID: id, NATS_NKEY_FILE: join(own, 'nats.nk'), NATS_CA_FILE: join(own, 'ca.pem') });
  }
  const found = ids.length === 0 ? `${dir} has credentials of no edge` : `the credentials of all ${ids.length} edges in ${dir} are in use`;
  throw new ConfigError([
    `EDGE_CREDENTIALS_DIR: ${found}: make more with "sluice credentials --edges"; with compose: SLUICE_EDGE_SLOTS=<more> docker compose run --rm credentials, then docker compose kill -s HUP nats`,
  ]);
}

/** In the order of their numbers. */
function idsIn(dir: string): string[] {
  try {
    const directories = readdirSync(dir, { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && edgeId.safeParse(entry.name).success,
    );
    return directories.map(({ name }) => name).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  } catch (error) {
    throw new ConfigError([`EDGE_CREDENTIALS_DIR: ${dir} cannot be read: ${(error as Error).message}`]);
  }
}
