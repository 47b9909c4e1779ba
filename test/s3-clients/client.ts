import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';

/** What a client needs to know of an origin. */
export interface Account {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of its own, for configuration and temporary files. */
  readonly dir: string;
}

export interface Described {
  readonly contentType: string | undefined;
  /** Undefined where a client does not tell it. */
  readonly cacheControl: string | undefined;
  /** User metadata by name. */
  readonly meta: Readonly<Record<string, string>>;
}

/** One S3 client, told to do what people have it do. */
export interface S3Client {
  readonly name: string;
  makeBucket(bucket: string): Promise<void>;
  /** Makes the bucket hold what the directory holds, and nothing else. */
  sync(dir: string, bucket: string): Promise<void>;
  /** Brings all that the bucket holds into an empty directory. */
  download(bucket: string, dir: string): Promise<void>;
  put(file: string, bucket: string, path: string, described: Described): Promise<void>;
  describe(bucket: string, path: string): Promise<Described>;
  remove(bucket: string, path: string): Promise<void>;
  /** A URL that anyone can read the object by, for some minutes. */
  presign(bucket: string, path: string): Promise<string>;
}

/** Makes a client, or says why it cannot be had. */
export interface ClientKind {
  readonly name: string;
  /** The command it needs, and the Debian package that has it; none for a library. */
  readonly command?: string;
  readonly debianPackage?: string;
  /** What its `--version` has to begin with. */
  readonly version?: string;
  create(account: Account, command: string): Promise<S3Client>;
}

/**
 * Where a kind of client is; the empty text for a library. Undefined: it is not installed, and its tests are skipped with a reason, but where `CI` is `true` nothing is.
 * @throws when it is missing and CI=true
 */
export function commandOf({ name, command, debianPackage, version = '' }: ClientKind): string | undefined {
  if (command === undefined) return '';
  // Something older may come first in the path.
  const found = [command, `/usr/bin/${command}`].find((path) => versionOf(path)?.startsWith(version));
  if (found !== undefined) return found;
  const problem = `${name} is not installed; on Debian: apt-get install ${debianPackage}`;
  if (process.env.CI === 'true') throw new Error(problem);
  console.warn(`skipped: ${problem}`);
  return undefined;
}

function versionOf(command: string): string | undefined {
  try {
    return execFileSync(command, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

const execute = promisify(execFile);

/** Runs a command. @returns what it prints @throws with what it complains of */
export async function run(command: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const { stdout } = await execute(command, [...args], {
    env: { PATH: process.env.PATH, LANG: 'C.UTF-8', ...env },
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}
