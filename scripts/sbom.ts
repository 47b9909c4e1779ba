/**
 * `npm run sbom [-- <file>]`: what Sluice consists of in production, as a CycloneDX document, made of the lock file; to standard output without a file. The same lock file gives the
 * same document, so that two can be compared.
 *
 * `npm sbom --omit=dev` would do but for one thing: it leaves out what an app needs as soon as the root needs it for tests too. So all is asked for, and the lock file says what is
 * for development only.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Component {
  readonly 'bom-ref': string;
  readonly purl: string;
}
interface Bom {
  readonly serialNumber: string;
  readonly metadata: { readonly timestamp?: string; readonly component: Component & { readonly name: string } };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}
interface LockedPackage {
  readonly name?: string;
  readonly version?: string;
  /** Needed by nothing but development. */
  readonly dev?: boolean;
  readonly link?: boolean;
}

const ROOT = join(import.meta.dirname, '..');
/** A workspace that only tests use; the image goes without it. */
const TESTS_ONLY = '@sluice/testkit';
const DOCUMENT_MAX_BYTES = 64 * 1024 * 1024;

function askNpm(): Bom {
  const args = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'];
  // Under `npm run` that very npm, which is a script.
  const { npm_execpath: npm } = process.env;
  const [command, before] = npm === undefined ? ['npm', []] : [process.execPath, [npm]];
  const text = execFileSync(command, [...before, ...args], { cwd: ROOT, encoding: 'utf8', maxBuffer: DOCUMENT_MAX_BYTES });
  return JSON.parse(text) as Bom;
}

/** `<name>@<version>` of all that is installed without `--include=dev`. */
function inProduction(packages: Readonly<Record<string, LockedPackage>>): Set<string> {
  const found = new Set<string>();
  for (const [path, { name = path.split('node_modules/').at(-1), version, dev, link }] of Object.entries(packages))
    if (dev !== true && link !== true && name !== TESTS_ONLY) found.add(`${name}@${version}`);
  return found;
}

/** `pkg:npm/%40a/b@1.2.3?…` → `@a/b@1.2.3` */
function nameOf({ purl }: Component): string {
  return decodeURIComponent(purl.replace(/^pkg:npm\//, '').replace(/\?.*$/, ''));
}

function produce(): Bom {
  const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  const { name, packages } = JSON.parse(lock) as { name: string; packages: Record<string, LockedPackage> };
  const wanted = inProduction(packages);
  const { metadata, ...bom } = askNpm();
  const { timestamp: _timestamp, ...about } = metadata;
  const components = bom.components.filter((component) => wanted.has(nameOf(component)));
  const known = new Set([metadata.component['bom-ref'], ...components.map((component) => component['bom-ref'])]);
  return {
    ...bom,
    // A version 8 UUID (RFC 9562 §5.8) of the lock file instead of a random one.
    serialNumber: `urn:uuid:${uuidOf(createHash('sha256').update(lock).digest('hex'))}`,
    // npm calls it as the directory is called.
    metadata: { ...about, component: { ...metadata.component, name } },
    components,
    dependencies: bom.dependencies
      .filter(({ ref }) => known.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((to) => known.has(to)) })),
  };
}

function uuidOf(hex: string): string {
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `${variant}${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');
}

const text = `${JSON.stringify(produce(), null, 2)}\n`;
const [file] = process.argv.slice(2);
if (file === undefined) process.stdout.write(text);
else writeFileSync(file, text);
