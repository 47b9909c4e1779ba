/** How a client shows the broker who it is, and knows that it is the broker. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import {
  AuthorizationError,
  type ConnectionOptions,
  nkeyAuthenticator,
  nkeys,
  PermissionViolationError,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';

/** Files are read again for each connection, so what is in them can be replaced while a process runs. */
export interface BrokerAccess {
  /** Holds the seed of an nkey, `SU…`. */
  readonly nkeyFile?: string | undefined;
  /** With `passwordFile`, instead of an nkey. */
  readonly user?: string | undefined;
  readonly passwordFile?: string | undefined;
  /** PEM: the authority that has signed the broker's certificate. With one there is no connection without TLS. */
  readonly caFile?: string | undefined;
}

/** @throws with a sentence for people when the file cannot be read or holds no seed; of its content nothing is said */
export function readNkeySeed(file: string): Uint8Array {
  const seed = new TextEncoder().encode(readFileSync(file, 'utf8').trim());
  try {
    nkeys.fromSeed(seed).getPublicKey();
    return seed;
  } catch {
    throw new Error(`${file} holds no seed of an nkey, which is one line that begins with SU`);
  }
}

/** What the NATS client needs to know of it. */
export function credentialOptions(servers: readonly string[], access: BrokerAccess): Partial<ConnectionOptions> {
  const { nkeyFile, user, passwordFile, caFile } = access;
  const isTls = caFile !== undefined || servers.some((server) => server.startsWith('tls://'));
  return {
    ...(isTls ? { tls: { ...(caFile === undefined ? {} : { caFile }), ...identityCheck(servers) } } : {}),
    ...(nkeyFile === undefined ? {} : { authenticator: nkeyAuthenticator(() => readNkeySeed(nkeyFile)) }),
    ...(user === undefined || passwordFile === undefined
      ? {}
      : { authenticator: usernamePasswordAuthenticator(user, () => readFileSync(passwordFile, 'utf8').trim()) }),
  };
}

/**
 * The client asks for the certificate of "localhost" when it connects to an IP address, whatever address that is (nats.js: `tlsName` is empty then). Of such servers the
 * certificate has to be for one of the addresses that were given.
 */
function identityCheck(servers: readonly string[]): { checkServerIdentity: typeof checkServerIdentity } {
  const hosts = servers.map((server) => new URL(server.includes('://') ? server : `nats://${server}`).hostname.replace(/^\[|\]$/g, ''));
  const addresses = hosts.filter((host) => isIP(host) !== 0);
  return {
    checkServerIdentity(hostname, certificate) {
      if (hostname !== 'localhost' || addresses.length === 0) return checkServerIdentity(hostname, certificate);
      const problems = [...addresses, ...hosts.filter((host) => host === 'localhost')].map((host) =>
        checkServerIdentity(host, certificate),
      );
      return problems.includes(undefined) ? undefined : problems[0];
    },
  };
}

const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** What is in the way of using the broker, in a sentence that says what to do. */
export function problemOf(error: unknown, access: BrokerAccess): string {
  const chain = causes(error);
  const denied = chain.find((cause) => cause instanceof PermissionViolationError);
  if (denied !== undefined) {
    const what = denied.operation === 'subscription' ? 'listen on' : 'send on';
    return `the broker does not permit this user to ${what} ${denied.subject}: check that the credentials are those of this part, and that the broker has been given its users`;
  }
  if (chain.some((cause) => cause instanceof AuthorizationError)) return refusal(access);
  const codes = chain.map((cause) => ('code' in cause ? String(cause.code) : ''));
  if (codes.some((code) => UNKNOWN_AUTHORITY.has(code))) {
    return access.caFile === undefined
      ? 'the certificate of the broker is from an authority that this machine does not know: name the file with its certificate in NATS_CA_FILE'
      : `the certificate of the broker is not from the authority in ${access.caFile}: is this the broker that is meant, and the file that was made with it?`;
  }
  if (codes.includes('ERR_TLS_CERT_ALTNAME_INVALID')) {
    return `the certificate of the broker is not for the name by which it is reached in NATS_URL: ${chain.at(-1)?.message}`;
  }
  if (codes.includes('CERT_HAS_EXPIRED')) return 'the certificate of the broker has expired: make a new one';
  const message = chain.at(-1)?.message ?? String(error);
  if (message.includes("does not support 'tls'")) {
    return 'the broker offers no TLS, and NATS_CA_FILE or tls:// in NATS_URL asks for it: is this the broker that is meant?';
  }
  return message;
}

function refusal({ nkeyFile, user, passwordFile }: BrokerAccess): string {
  if (nkeyFile !== undefined)
    return `the broker does not know the key in ${nkeyFile}: give it the users that were made with this key, and reload it`;
  if (user !== undefined) return `the broker does not take the user "${user}" with the password in ${passwordFile}`;
  return 'the broker wants to know who this is: name a file with a key in NATS_NKEY_FILE ("sluice credentials" makes them)';
}

/** An error and what it was caused by, the outermost first. */
function causes(error: unknown): (Error & { operation?: string; subject?: string })[] {
  const chain: Error[] = [];
  for (let next = error; next instanceof Error && chain.length < 8; next = next.cause) chain.push(next);
  return chain;
}

/** A server's URL as it may be shown. A password may have an "@" in it, a host has none. */
export function withoutCredentials(server: string): string {
  return server.replace(/^((?:\w+:\/\/)?).*@/, '$1');
}
