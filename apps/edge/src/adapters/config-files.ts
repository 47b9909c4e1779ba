/**
 * The sites file and the certificates, as they are on disk now: read at the start, and again when a file changes and on SIGHUP. What cannot be used leaves in force what
 * was there before.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Clock, ConfigError, every, type Logger, watchFiles } from '@sluice/runtime';
import type { EdgeConfig } from '../config.ts';
import { type Certificate, type Certificates, covers, validityProblem } from '../domain/certificates.ts';
import { PATH_STYLE_ONLY, type Site, type Sites } from '../domain/sites/site.ts';
import { parseSites, SitesConfigError, type TlsOffer } from '../sites-config.ts';
import { type CertificateSource, type PemTexts, parseCertificate, type Read, readPemFiles } from './certificate-files.ts';

/** How often the time of validity is looked at. */
const VALIDITY_CHECK_MS = 24 * 3_600_000;
/** Of the three keys that Node derives from them: a name, an HMAC key and an AES key of 16 bytes each. */
const TICKET_KEYS_BYTES = 48;
/** Whoever gets hold of them can read sessions of TLS 1.2 that they were used for: of no longer than this. Node knows one at a time, so older sessions are not resumed. */
export const TICKET_KEYS_MS = 3_600_000;
/** Certificates of which the files are read at once. */
const READS_AT_ONCE = 32;

export type FileVariables = Pick<
  EdgeConfig,
  'EDGE_PORT' | 'EDGE_SITES_FILE' | 'EDGE_TLS_PORT' | 'EDGE_TLS_CERT_FILE' | 'EDGE_TLS_KEY_FILE'
>;

/** Plain data: it can be posted to another thread. */
export interface FileConfig {
  readonly sites: Sites;
  readonly certificates: Certificates;
}

export interface ConfigFiles {
  readonly current: FileConfig;
  /** Called with what is in force from now on. */
  onChange(listener: (current: FileConfig) => void): void;
  stop(): void;
}

/** A certificate as its files last gave it. */
interface Loaded {
  readonly texts: PemTexts;
  readonly certificate: Certificate;
}
/** By the paths of their files. */
type LoadedCertificates = ReadonlyMap<string, Loaded>;

interface Snapshot {
  readonly config: FileConfig;
  readonly sitesText: string | undefined;
  readonly loaded: LoadedCertificates;
}

/**
 * Reads the files that the variables name, and follows them.
 * @throws {ConfigError} with every problem of variables, sites file and certificates, when there is nothing to begin with
 */
export async function followConfigFiles(variables: FileVariables, clock: Clock, log: Logger): Promise<ConfigFiles> {
  const first = await readAll(variables, undefined);
  if ('problems' in first) throw first.sitesFileOnly ? new SitesConfigError(first.problems) : new ConfigError(first.problems);
  let current: Snapshot = first.value;
  const listeners: ((current: FileConfig) => void)[] = [];
  let complaint = '';

  const tell = (problems: readonly string[]): void => {
    // Files are read again and again: what has been said is not repeated.
    const text = problems.join('\n');
    if (text !== '' && text !== complaint) log.error({ problems }, 'a changed configuration was not taken, the old one stays in force');
    complaint = text;
  };
  const reload = async (): Promise<void> => {
    let read = await readAll(variables, current);
    let problems: readonly string[] = 'problems' in read ? read.problems : read.value.refused;
    // Sites that cannot be used keep no certificate of the others from being renewed.
    if ('problems' in read) {
      read = await readAll(variables, current, current.sitesText);
      problems = [...new Set([...problems, ...('problems' in read ? read.problems : read.value.refused)])];
    }
    tell(problems);
    if ('problems' in read) return;
    const { value } = read;
    const renewed = [...value.loaded].filter(([paths, { certificate }]) => current.loaded.get(paths)?.certificate !== certificate);
    const hasOtherSites = value.sitesText !== current.sitesText;
    if (!hasOtherSites && renewed.length === 0) return;
    current = withTicketKeys(value, current.config.certificates.ticketKeys);
    watch.follow(pathsOf(variables, current.config));
    if (hasOtherSites) log.info({ path: variables.EDGE_SITES_FILE, hosts: current.config.sites.byHost.size }, 'sites reloaded');
    for (const [, { certificate }] of renewed) log.info(describe(certificate), 'certificate renewed');
    warn(current, clock.nowMs(), log);
    for (const listener of listeners) listener(current.config);
  };
  // One at a time, and at most one that waits: reading may take longer than it takes until the next look.
  let isReading = false;
  let isWanted = false;
  const readAgain = async (): Promise<void> => {
    isWanted = true;
    if (isReading) return;
    isReading = true;
    while (isWanted) {
      isWanted = false;
      await reload().catch((err) => log.error({ err }, 'the configuration files could not be read again'));
    }
    isReading = false;
  };
  const watch = watchFiles(
    clock,
    () => void readAgain(),
    (err, directory) => log.warn({ err, directory }, 'changes of files here are noticed late; SIGHUP makes them noticed at once'),
  );
  watch.follow(pathsOf(variables, current.config));
  warn(current, clock.nowMs(), log);
  const stopChecking = every(clock, VALIDITY_CHECK_MS, () => warn(current, clock.nowMs(), log));
  const rotateTicketKeys = (): void => {
    current = withTicketKeys(current, randomBytes(TICKET_KEYS_BYTES));
    for (const listener of listeners) listener(current.config);
  };
  const stopRotating = variables.EDGE_TLS_PORT === undefined ? undefined : every(clock, TICKET_KEYS_MS, rotateTicketKeys);
  return {
    get current() {
      return current.config;
    },
    onChange: (listener) => void listeners.push(listener),
    stop() {
      watch.stop();
      stopChecking();
      stopRotating?.();
    },
  };
}

type ReadAll =
  | { readonly value: Snapshot & { readonly refused: readonly string[] } }
  | { readonly problems: readonly string[]; readonly sitesFileOnly: boolean };

/**
 * Everything there is to read. A certificate that was good before and is not now stays as it was, and its problems are `refused`. `sitesText`: instead of the file's.
 */
async function readAll(variables: FileVariables, before: Snapshot | undefined, sitesText?: string): Promise<ReadAll> {
  const sitesFile = await readSites(variables, before, sitesText);
  const ofVariables = tlsVariableProblems(variables, 'value' in sitesFile ? sitesFile.value.sites : undefined);
  const loaded = new Map<string, Loaded>();
  const problems: string[] = [];
  const refused: string[] = [];
  const sources = [...sourcesOf(variables, 'value' in sitesFile ? sitesFile.value.sites : PATH_STYLE_ONLY)];
  for (let at = 0; at < sources.length; at += READS_AT_ONCE) {
    const read = sources.slice(at, at + READS_AT_ONCE).map(async ([paths, source]) => {
      const old = before?.loaded.get(paths);
      const found = await load(source, old);
      if ('value' in found) loaded.set(paths, found.value);
      else if (old === undefined) problems.push(...found.problems);
      else {
        loaded.set(paths, old);
        refused.push(...found.problems);
      }
    });
    await Promise.all(read);
  }
  if ('problems' in sitesFile || ofVariables.length > 0 || problems.length > 0) {
    const ofSites = 'problems' in sitesFile ? sitesFile.problems : [];
    return {
      problems: [...ofVariables, ...ofSites, ...problems],
      sitesFileOnly: ofSites.length > 0 && ofVariables.length + problems.length === 0,
    };
  }
  const { sites, text } = sitesFile.value;
  const config = { sites, certificates: certificatesOf(variables, sites, loaded) };
  return { value: { config, sitesText: text, loaded, refused } };
}

async function readSites(
  variables: FileVariables,
  before: Snapshot | undefined,
  given: string | undefined,
): Promise<Read<{ readonly text: string | undefined; readonly sites: Sites }>> {
  const path = variables.EDGE_SITES_FILE;
  if (path === undefined) return { value: { text: undefined, sites: PATH_STYLE_ONLY } };
  try {
    const text = given ?? (await readFile(path, 'utf8'));
    return { value: { text, sites: text === before?.sitesText ? before.config.sites : parseSites(text, offerOf(variables)) } };
  } catch (error) {
    return { problems: error instanceof SitesConfigError ? error.problems : [(error as Error).message] };
  }
}

function offerOf({ EDGE_TLS_PORT, EDGE_TLS_CERT_FILE, EDGE_TLS_KEY_FILE }: FileVariables): TlsOffer {
  return { port: EDGE_TLS_PORT !== undefined, certificate: EDGE_TLS_CERT_FILE !== undefined && EDGE_TLS_KEY_FILE !== undefined };
}

/** What is wrong with the variables although each is right by itself. `sites`: undefined when it is not known what they want. */
function tlsVariableProblems(
  { EDGE_PORT, EDGE_TLS_PORT, EDGE_TLS_CERT_FILE, EDGE_TLS_KEY_FILE }: FileVariables,
  sites: Sites | undefined,
): string[] {
  const problems: string[] = [];
  if (EDGE_TLS_PORT === undefined) {
    for (const [name, value] of Object.entries({ EDGE_TLS_CERT_FILE, EDGE_TLS_KEY_FILE })) {
      if (value !== undefined) problems.push(`${name}: is used on the port for TLS alone; set EDGE_TLS_PORT too`);
    }
    return problems;
  }
  if (EDGE_TLS_PORT === EDGE_PORT && EDGE_PORT !== 0) problems.push(`EDGE_TLS_PORT: must be another port than EDGE_PORT, ${EDGE_PORT}`);
  if ((EDGE_TLS_CERT_FILE === undefined) !== (EDGE_TLS_KEY_FILE === undefined)) {
    problems.push(
      EDGE_TLS_CERT_FILE === undefined
        ? 'EDGE_TLS_CERT_FILE: must be set too, to the certificate of EDGE_TLS_KEY_FILE'
        : 'EDGE_TLS_KEY_FILE: must be set too, to the key of EDGE_TLS_CERT_FILE',
    );
  } else if (EDGE_TLS_CERT_FILE === undefined && sites !== undefined && !reachableSites(sites).some(({ tls }) => tls !== undefined)) {
    problems.push('EDGE_TLS_PORT: needs a certificate; set EDGE_TLS_CERT_FILE and EDGE_TLS_KEY_FILE, or tls of a site in EDGE_SITES_FILE');
  }
  return problems;
}

function reachableSites({ byHost, fallback }: Sites): Site[] {
  return [...new Set([...byHost.values(), ...(fallback === undefined ? [] : [fallback])])];
}

/** All certificates that are wanted, each once, by the paths of their files. */
function sourcesOf(variables: FileVariables, sites: Sites): Map<string, CertificateSource> {
  const own = ownSource(variables);
  const sources = new Map(own === undefined ? [] : [[pathsKey(own), own]]);
  for (const site of reachableSites(sites)) {
    const source = siteSource(variables, site);
    if (source !== undefined && !sources.has(pathsKey(source))) sources.set(pathsKey(source), source);
  }
  return sources;
}

function pathsKey({ chainFile, keyFile }: CertificateSource): string {
  return `${chainFile}\0${keyFile}`;
}

function ownSource({ EDGE_TLS_PORT, EDGE_TLS_CERT_FILE, EDGE_TLS_KEY_FILE }: FileVariables): CertificateSource | undefined {
  if (EDGE_TLS_PORT === undefined || EDGE_TLS_CERT_FILE === undefined || EDGE_TLS_KEY_FILE === undefined) return undefined;
  return {
    ...{ chainFile: resolve(EDGE_TLS_CERT_FILE), chainName: 'EDGE_TLS_CERT_FILE' },
    ...{ keyFile: resolve(EDGE_TLS_KEY_FILE), keyName: 'EDGE_TLS_KEY_FILE' },
  };
}

function siteSource({ EDGE_SITES_FILE }: FileVariables, { name, tls }: Site): CertificateSource | undefined {
  if (tls === undefined || EDGE_SITES_FILE === undefined) return undefined;
  const directory = dirname(resolve(EDGE_SITES_FILE));
  return {
    ...{ chainFile: resolve(directory, tls.certificate), chainName: `site "${name}": tls.certificate` },
    ...{ keyFile: resolve(directory, tls.key), keyName: `site "${name}": tls.key` },
  };
}

/** The certificate of a source, the old one when its files are the same as before. */
async function load(source: CertificateSource, old: Loaded | undefined): Promise<Read<Loaded>> {
  const texts = await readPemFiles(source);
  if ('problems' in texts) return texts;
  if (old !== undefined && old.texts.chain === texts.value.chain && old.texts.key === texts.value.key) return { value: old };
  const parsed = parseCertificate(texts.value, source);
  return 'problems' in parsed ? parsed : { value: { texts: texts.value, certificate: parsed.value } };
}

function certificatesOf(variables: FileVariables, sites: Sites, loaded: LoadedCertificates): Certificates {
  const of = (source: CertificateSource | undefined) => (source === undefined ? undefined : loaded.get(pathsKey(source))?.certificate);
  const fallback = of(ownSource(variables)) ?? (sites.fallback === undefined ? undefined : of(siteSource(variables, sites.fallback)));
  const byHost = new Map<string, Certificate>();
  for (const [host, site] of sites.byHost) {
    // Also of hosts without one of their own: else a wildcard would give them that of another site.
    const certificate = of(siteSource(variables, site)) ?? fallback;
    if (certificate !== undefined) byHost.set(host, certificate);
  }
  return { byHost, fallback, ticketKeys: randomBytes(TICKET_KEYS_BYTES) };
}

function withTicketKeys({ config, ...rest }: Snapshot, ticketKeys: Uint8Array): Snapshot {
  return { ...rest, config: { ...config, certificates: { ...config.certificates, ticketKeys } } };
}

function pathsOf(variables: FileVariables, { sites }: FileConfig): string[] {
  const certificates = [...sourcesOf(variables, sites).values()].flatMap(({ chainFile, keyFile }) => [chainFile, keyFile]);
  return [...(variables.EDGE_SITES_FILE === undefined ? [] : [resolve(variables.EDGE_SITES_FILE)]), ...certificates];
}

function describe({ name, dnsNames, notAfterMs }: Certificate) {
  return { certificate: name, dnsNames, expires: new Date(notAfterMs).toISOString() };
}

/** Says what visitors will soon be warned of, or are already. */
function warn({ config: { sites, certificates }, loaded }: Snapshot, nowMs: number, log: Logger): void {
  for (const { certificate } of loaded.values()) {
    const problem = validityProblem(certificate, nowMs);
    if (problem !== undefined) log.warn(describe(certificate), problem);
  }
  for (const [host, { tls, name: site }] of sites.byHost) {
    const certificate = tls === undefined ? undefined : certificates.byHost.get(host);
    if (certificate !== undefined && !covers(certificate, host.replace('*', 'any'))) {
      log.warn({ site, host, certificate: certificate.name }, 'the certificate of the site is not for this host name');
    }
  }
}
