/**
 * A directory with everything that broker and parts need to know each other. What is there already is kept, so it can be filled again whenever edges are added.
 *
 *     ca/        ca.pem, ca-key.pem     the authority; its key is needed only here
 *     broker/    nats.conf, users.conf, server.pem, server-key.pem, ca.pem; cluster.conf where there are several servers
 *     origin/  controller/  publisher/  console/  administrator/    each: nats.nk (the seed of its key), ca.pem
 *     edges/<region>/<id>/                                          the same, for each edge
 *
 * Each directory but `ca` is given to the one whose name it has, and to nobody else.
 */
import { chmod, chown, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createUser, fromSeed } from '@nats-io/nkeys';
import { edgeId, region } from '@sluice/contracts';
import { withNewAdminToken } from './admin-token.ts';
import { type Certificate, isGoodFor, makeAuthority, makeServerCertificate } from './certificates.ts';
import { permissionsOf, type Role, type User } from './permissions.ts';
import { brokerConfiguration, clusterConfiguration, usersConfiguration } from './server-configuration.ts';

const SEED_FILE = 'nats.nk';
const AUTHORITY_FILE = 'ca.pem';
const STORE_DIR = 'jetstream';
const ADMIN_TOKEN = 'admin-token';
const SINGLE_ROLES = ['origin', 'controller', 'publisher', 'console', 'administrator'] as const;

/** The directory cannot be filled. The message says what to do. */
export class CredentialsError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CredentialsError';
  }
}

export interface EdgeCredentials {
  readonly id: string;
  readonly region: string;
}

export interface CredentialsOptions {
  /** Those that must be there; others that are there already stay. */
  readonly edges: readonly EdgeCredentials[];
  /** Host names and IP addresses by which the broker is reached. */
  readonly serverNames: readonly string[];
  /** Where the servers of a cluster reach each other; written once. Each is also one of the names by which the broker is reached. */
  readonly cluster?: readonly string[] | undefined;
  /** Where the broker keeps its streams, as seen from its directory; written once. Default: `jetstream` in it. */
  readonly storeDir?: string | undefined;
  /** The subject on which an S3 service tells origins of changes, in a directory `notifier`. */
  readonly notifications?: string | undefined;
  /** What is to be made anew: `origin`, an edge's id, `broker` for its certificate, `admin-token`. */
  readonly rotate?: readonly string[];
  /** Whose the files become; absent: of who runs this. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  readonly nowMs: number;
}

export interface CredentialsReport {
  /** Made now, as people call it: `origin`, `edge us-1`, `the certificate of the broker`. */
  readonly made: readonly string[];
  /** Everyone the broker knows by now. */
  readonly users: readonly string[];
}

interface Owner {
  readonly name: string;
  readonly rotatedBy: string;
  readonly role: Role;
  readonly dir: string;
}

export class CredentialsDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** What the broker is started with, in the directory that it is in. */
  get brokerDir(): string {
    return join(this.path, 'broker');
  }
  /** Where a part finds its own. */
  dirOf(role: (typeof SINGLE_ROLES)[number]): string {
    return join(this.path, role);
  }
  dirOfEdge({ id, region: regionName }: EdgeCredentials): string {
    return join(this.path, 'edges', regionName, id);
  }
  /** Tokens for the administrative interfaces of all apps. */
  get adminTokenFile(): string {
    return join(this.path, 'http', ADMIN_TOKEN);
  }
  /** The files in such a directory, as `Bus.connect` takes them. */
  static accessIn(dir: string): { readonly nkeyFile: string; readonly caFile: string } {
    return { nkeyFile: join(dir, SEED_FILE), caFile: join(dir, AUTHORITY_FILE) };
  }

  /**
   * Makes what is missing, and what is to be made anew. The broker has to be told to reload when users were made.
   * @throws {CredentialsError} when something is there that cannot be used, or nothing has the name that is to be made anew
   */
  async fill(options: CredentialsOptions): Promise<CredentialsReport> {
    const rotate = new Set(options.rotate ?? []);
    const made: string[] = [];
    const authority = await this.#authority(made, options);
    await this.#serverCertificate(authority, made, rotate.has('broker'), options);
    const owners = await this.#owners(options);
    const names = ['broker', ...owners.map(({ rotatedBy }) => rotatedBy), ADMIN_TOKEN];
    const unknown = [...rotate].find((name) => !names.includes(name));
    if (unknown !== undefined) throw new CredentialsError(`nobody is called "${unknown}"; there are ${names.join(', ')}`);
    const users: User[] = [];
    for (const owner of owners) {
      const publicKey = await this.#publicKey(owner, made, rotate.has(owner.rotatedBy), options);
      await this.#write(join(owner.dir, AUTHORITY_FILE), authority.certificate, options);
      users.push({ name: owner.name, publicKey, permissions: permissionsOf(owner.role, options.notifications) });
    }
    await this.#write(join(this.brokerDir, 'users.conf'), usersConfiguration(users), options);
    await this.#keepOrMake(join(this.brokerDir, 'nats.conf'), () => brokerConfiguration(options.storeDir ?? STORE_DIR), options);
    const { cluster } = options;
    if (cluster !== undefined) await this.#keepOrMake(join(this.brokerDir, 'cluster.conf'), () => clusterConfiguration(cluster), options);
    await this.#adminTokens(made, rotate.has(ADMIN_TOKEN), options);
    return { made, users: users.map(({ name }) => name) };
  }

  async #authority(made: string[], options: CredentialsOptions): Promise<Certificate> {
    const paths = { certificate: join(this.path, 'ca', AUTHORITY_FILE), key: join(this.path, 'ca', 'ca-key.pem') };
    const certificate = await readIfThere(paths.certificate);
    const key = await readIfThere(paths.key);
    if (certificate !== undefined && key !== undefined) return { certificate, key };
    if (certificate !== undefined) {
      throw new CredentialsError(`${paths.key} is missing: put it back, or remove ${paths.certificate} to begin with another authority`);
    }
    const authority = await makeAuthority(options.nowMs);
    await this.#write(paths.key, authority.key, options);
    await this.#write(paths.certificate, authority.certificate, options);
    made.push('the authority');
    return authority;
  }

  async #serverCertificate(authority: Certificate, made: string[], anew: boolean, options: CredentialsOptions): Promise<void> {
    const { nowMs } = options;
    const serverNames = [...new Set([...options.serverNames, ...(options.cluster ?? [])])];
    const paths = { certificate: join(this.brokerDir, 'server.pem'), key: join(this.brokerDir, 'server-key.pem') };
    await this.#write(join(this.brokerDir, AUTHORITY_FILE), authority.certificate, options);
    const there = (await readIfThere(paths.key)) === undefined ? undefined : await readIfThere(paths.certificate);
    if (!anew && there !== undefined && isGoodFor(there, authority.certificate, serverNames, nowMs)) return;
    const server = await makeServerCertificate(authority, serverNames, nowMs);
    await this.#write(paths.key, server.key, options);
    await this.#write(paths.certificate, server.certificate, options);
    made.push('the certificate of the broker');
  }

  /** Everyone who is to be known, edges in the order of their names. */
  async #owners({ edges, notifications }: CredentialsOptions): Promise<Owner[]> {
    const single = SINGLE_ROLES.map((role) => ({ name: role, rotatedBy: role, role: { role }, dir: this.dirOf(role) }));
    const notifier: Owner[] =
      notifications === undefined
        ? []
        : [{ name: 'notifier', rotatedBy: 'notifier', role: { role: 'notifier' }, dir: join(this.path, 'notifier') }];
    const known = new Map<string, EdgeCredentials>();
    for (const edge of [...(await this.#edgesThere()), ...edges]) {
      const other = known.get(edge.id);
      if (other !== undefined && other.region !== edge.region) {
        throw new CredentialsError(
          `edge ${edge.id} is of region ${other.region} by ${this.dirOfEdge(other)}, and now of ${edge.region}: remove that directory first`,
        );
      }
      known.set(edge.id, edge);
    }
    const sorted = [...known.values()].sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
    return [
      ...single,
      ...notifier,
      ...sorted.map((edge) => ({
        ...{ name: `edge ${edge.id}`, rotatedBy: edge.id },
        ...{ role: { role: 'edge' as const, id: edge.id }, dir: this.dirOfEdge(edge) },
      })),
    ];
  }

  async #edgesThere(): Promise<EdgeCredentials[]> {
    const found: EdgeCredentials[] = [];
    for (const regionName of await namesIn(join(this.path, 'edges'))) {
      for (const id of await namesIn(join(this.path, 'edges', regionName))) {
        // Files of others, such as lost+found, are none of ours.
        if (!edgeId.safeParse(id).success || !region.safeParse(regionName).success) continue;
        if ((await readIfThere(join(this.dirOfEdge({ id, region: regionName }), SEED_FILE))) !== undefined)
          found.push({ id, region: regionName });
      }
    }
    return found;
  }

  async #publicKey(owner: Owner, made: string[], anew: boolean, options: CredentialsOptions): Promise<string> {
    const path = join(owner.dir, SEED_FILE);
    const there = anew ? undefined : await readIfThere(path);
    if (there === undefined) {
      const pair = createUser();
      await this.#write(path, `${new TextDecoder().decode(pair.getSeed())}\n`, options);
      made.push(owner.name);
      return pair.getPublicKey();
    }
    try {
      return fromSeed(new TextEncoder().encode(there.trim())).getPublicKey();
    } catch (error) {
      throw new CredentialsError(`${path} holds no seed of an nkey: remove it, and a new one is made`, error);
    }
  }

  async #adminTokens(made: string[], anew: boolean, options: CredentialsOptions): Promise<void> {
    const there = await readIfThere(this.adminTokenFile);
    if (there !== undefined && !anew) return;
    await this.#write(this.adminTokenFile, withNewAdminToken(there), options);
    made.push('the admin token');
  }

  async #keepOrMake(path: string, make: () => string, options: CredentialsOptions): Promise<void> {
    if ((await readIfThere(path)) === undefined) await this.#write(path, make(), options);
  }

  /** Beside the old one and then in its place, so that nobody reads half of it. Only its owner may read it. */
  async #write(path: string, text: string, { owner }: CredentialsOptions): Promise<void> {
    const dir = dirname(path);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const temporary = `${path}.new`;
    await rm(temporary, { force: true });
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
      if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    if (owner === undefined) return;
    // A volume is mounted with an owner and rights of its own.
    await chmod(dir, 0o700);
    for (let above = dir; above.startsWith(this.path); above = dirname(above)) await chown(above, owner.uid, owner.gid);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CredentialsError(`${path} cannot be read: ${(error as Error).message}`, error);
  }
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new CredentialsError(`${dir} cannot be read: ${(error as Error).message}`, error);
  }
}
