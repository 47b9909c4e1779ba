import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

interface Locked {
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly resolved?: string;
  readonly version?: string;
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
}
const locked = (JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Record<string, Locked> }).packages;

interface Document {
  readonly bomFormat: string;
  readonly serialNumber: string;
  readonly metadata: { readonly component: { readonly name: string; readonly 'bom-ref': string } };
  readonly components: readonly { readonly 'bom-ref': string; readonly purl: string; readonly hashes?: readonly unknown[] }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

let text: string;
let document: Document;
let listed: Set<string>;
beforeAll(async () => {
  text = await make();
  document = JSON.parse(text) as Document;
  listed = new Set(document.components.map(({ purl }) => decodeURIComponent(purl.replace(/^pkg:npm\//, '').replace(/\?.*$/, ''))));
}, 60_000);

async function make(): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['scripts/sbom.ts'], { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

/** `[names, used by]` of each row of the README's table. */
function rows(): { names: string[]; usedBy: string }[] {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const table = readme.slice(readme.indexOf('## Dependencies'), readme.indexOf('## Licence'));
  const found = [...table.matchAll(/^\| (`[^|]+) \| ([^|]+) \|/gm)];
  return found.map(([, names = '', usedBy = '']) => ({
    names: [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string),
    usedBy,
  }));
}

/** What the apps and libraries need, and what that needs, found as Node finds it; as places in the lock file. */
function reachable(): Set<string> {
  const found = new Set<string>();
  const visit = (from: string): void => {
    const { dependencies, optionalDependencies, peerDependencies } = locked[from] as Locked;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      let dir: string | undefined = from;
      while (dir !== undefined && locked[join(dir, 'node_modules', name)] === undefined)
        dir = dir === '' ? undefined : dir.slice(0, Math.max(0, dir.lastIndexOf('/')));
      if (dir === undefined) continue;
      const place = join(dir, 'node_modules', name);
      if (found.has(place) || locked[place]?.link) continue;
      found.add(place);
      visit(place);
    }
  };
  for (const place of Object.keys(locked)) if (place === '' || /^(apps|libs)\/[^/]+$/.test(place)) visit(place);
  return found;
}

const names = (): Set<string> => new Set([...listed].map((one) => one.slice(0, one.lastIndexOf('@'))));

test('each package that the README gives to an app or a library is listed', () => {
  const production = rows().filter(({ usedBy }) => usedBy !== 'development');
  expect(production.length).toBeGreaterThan(20);
  expect(production.flatMap((row) => row.names).filter((name) => !names().has(name))).toEqual([]);
});

test('so is all that they need in turn, in the version that is installed, and nothing else but what is ours', () => {
  const needed = [...reachable()].map((place) => `${place.split('node_modules/').at(-1)}@${locked[place]?.version}`);
  expect([...listed].filter((one) => !one.startsWith('@sluice/')).sort()).toEqual([...new Set(needed)].sort());
});

test('a package that is for development alone is not', () => {
  const development = rows()
    .filter(({ usedBy }) => usedBy === 'development')
    .flatMap((row) => row.names)
    .filter((name) => locked[`node_modules/${name}`]?.dev);
  expect(development.length).toBeGreaterThan(8);
  expect(development.filter((name) => names().has(name))).toEqual([]);
  expect([...names()].filter((name) => name.startsWith('@types/') || name === '@sluice/testkit')).toEqual([]);
});

test('it is a CycloneDX document of Sluice, its references lead somewhere, and each package from elsewhere has its checksum', () => {
  expect(document).toMatchObject({ bomFormat: 'CycloneDX', metadata: { component: { name: 'sluice' } } });
  expect(document.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const refs = new Set([document.metadata.component['bom-ref'], ...document.components.map((component) => component['bom-ref'])]);
  const named = document.dependencies.flatMap(({ ref, dependsOn }) => [ref, ...dependsOn]);
  expect(named.filter((ref) => !refs.has(ref))).toEqual([]);
  const foreign = document.components.filter(({ purl }) => !purl.includes('%40sluice'));
  expect(foreign.filter(({ hashes }) => hashes === undefined).map(({ purl }) => purl)).toEqual([]);
});

test('the same lock file gives the same document', async () => {
  expect(await make()).toBe(text);
}, 60_000);
