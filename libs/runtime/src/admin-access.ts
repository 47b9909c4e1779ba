/** Who may use an app's administrative interface: its metrics, its status, the reasons of its readiness. See docs/security.md. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { Clock } from './clock.ts';
import { ConfigError } from './config.ts';
import { followFile } from './followed-file.ts';
import type { Logger } from './logger.ts';

/** More than one, so that a new one can be given out before the old one is taken back. */
export const TOKENS_MAX = 100;
/** RFC 6750 §2.1, and long enough that nobody guesses it. */
const TOKEN = /^(?=.{32,512}$)[A-Za-z0-9._~+/-]+=*$/;
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i;

/** The fields of a request that decide. */
export interface AdminCredentials {
  readonly authorization: string | undefined;
  readonly host: string | undefined;
}

export interface AdminRefusal {
  readonly status: 401 | 403;
  readonly code: 'UNAUTHORIZED' | 'FORBIDDEN';
  readonly message: string;
  /** The value of `WWW-Authenticate` (RFC 6750 §3). */
  readonly challenge?: string;
}

/** Undefined: the request may see everything. */
export type AdminRule = (credentials: AdminCredentials) => AdminRefusal | undefined;

export interface AdminAccess {
  readonly refusalOf: AdminRule;
  stop(): void;
}

export interface AdminAccessOptions {
  /** Where the app listens. */
  readonly host: string;
  /** The file with the tokens, and the variable that names it. */
  readonly tokenFile: string | undefined;
  readonly variable: string;
  /** Whoever reaches the app may see everything: the operator said so. */
  readonly open: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** With a file: who has a token of it. Without: everybody on this machine, when nobody else reaches the app; else nobody. @throws {ConfigError} */
export async function followAdminAccess({ host, tokenFile, variable, open, clock, log }: AdminAccessOptions): Promise<AdminAccess> {
  if (tokenFile !== undefined) {
    const file = await followFile({ path: tokenFile, variable, title: 'file of admin tokens', parse: parseAdminTokens, clock, log });
    return { refusalOf: (credentials) => refusalByToken(credentials, file.current), stop: () => file.stop() };
  }
  const stop = (): void => {};
  if (open) {
    log.warn({ host }, 'the administrative interface is open to whoever reaches this port');
    return { refusalOf: () => undefined, stop };
  }
  if (isLoopbackHost(host)) return { refusalOf: ({ host: asked }) => refusalOnLoopback(asked, variable), stop };
  log.warn({ host, variable }, 'the administrative interface answers nobody: others could reach it, and there is no file of tokens');
  const message = `others can reach this port and it has no tokens, so this is closed: name a file with one in ${variable}, and send it as "Authorization: Bearer <token>"`;
  return { refusalOf: () => ({ status: 403, code: 'FORBIDDEN', message }), stop };
}

/** Whether a server on this host is reached from this machine only. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/**
 * The digests of the tokens in a text: one a line, blank lines and those that begin with `#` apart.
 * @throws {ConfigError} with every problem, none of which quotes a line
 */
export function parseAdminTokens(text: string): readonly Buffer[] {
  const lines = text.split('\n').map((line, at) => ({ token: line.trim(), number: at + 1 }));
  const given = lines.filter(({ token }) => token !== '' && !token.startsWith('#'));
  const problems = given
    .filter(({ token }) => !TOKEN.test(token))
    .map(({ number }) => `line ${number}: must be a token of 32 to 512 characters, as "openssl rand -hex 32" makes them`);
  if (given.length === 0) problems.push('has no token; "openssl rand -hex 32" makes one');
  if (given.length > TOKENS_MAX) problems.push(`has ${given.length} tokens; ${TOKENS_MAX} are possible`);
  if (problems.length > 0) throw new ConfigError(problems, 'the file of admin tokens');
  return given.map(({ token }) => digest(token));
}

function refusalByToken({ authorization }: AdminCredentials, tokens: readonly Buffer[]): AdminRefusal | undefined {
  const shared = { status: 401, code: 'UNAUTHORIZED' } as const;
  if (authorization === undefined) {
    const message = 'this needs an admin token: send it as "Authorization: Bearer <token>" (sluice: SLUICE_ADMIN_TOKEN_FILE)';
    return { ...shared, message, challenge: 'Bearer realm="sluice"' };
  }
  const token = BEARER.exec(authorization)?.[1];
  // Digests are of one length, and each is compared, so that time tells nothing of a token nor of its place.
  const given = digest(token ?? '');
  let known = false;
  for (const one of tokens) if (timingSafeEqual(one, given)) known = true;
  if (token !== undefined && known) return undefined;
  const message = 'the credentials are no admin token of this app; tokens are in the file that its ADMIN_TOKEN_FILE names, one a line';
  return { ...shared, message, challenge: 'Bearer realm="sluice", error="invalid_token"' };
}

/** A page whose name was made to lead to this machine (DNS rebinding) still says its own name; who means this machine says so. */
function refusalOnLoopback(asked: string | undefined, variable: string): AdminRefusal | undefined {
  if (asked === undefined) return undefined;
  const name = asked
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  if (isLoopbackHost(name) || name.endsWith('.localhost')) return undefined;
  const message = `without tokens this answers to the names of this machine only, such as 127.0.0.1 or localhost, and the request names another host; for others name a file with a token in ${variable}`;
  return { status: 403, code: 'FORBIDDEN', message };
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
