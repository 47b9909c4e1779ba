/** Which certificate a host name is served with. Plain data, which can be posted to another thread. Pure. */
import { hostName, ofHostName } from './sites/site.ts';

export interface Certificate {
  /** What the operator calls it: the path of its file. */
  readonly name: string;
  /** The certificate and the chain behind it, and the key: PEM. */
  readonly chain: string;
  readonly key: string;
  /** The lower-case DNS names that it is for, `*.example.com` among them (RFC 9525 §6.3). */
  readonly dnsNames: readonly string[];
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface Certificates {
  /** By lower-case host name, `*.example.com` for any name below it; a host that is not here has `fallback`. */
  readonly byHost: ReadonlyMap<string, Certificate>;
  /** For all other host names, and for clients that name none. */
  readonly fallback: Certificate | undefined;
  /** What session tickets are sealed with: the same on every thread, or sessions could not be resumed there. 48 bytes. */
  readonly ticketKeys: Uint8Array;
}

/** The certificate for a host name, as in a Host field or in the server name of a handshake (RFC 6066 §3). */
export function certificateFor({ byHost, fallback }: Certificates, host: string | undefined): Certificate | undefined {
  return (byHost.size === 0 ? undefined : ofHostName(byHost, hostName(host))) ?? fallback;
}

/** Whether a certificate is for a host name: an asterisk stands for one label, the leftmost (RFC 9525 §6.3). */
export function covers({ dnsNames }: Certificate, host: string): boolean {
  const name = hostName(host);
  const dot = name.indexOf('.');
  return dnsNames.includes(name) || (dot > 0 && dnsNames.includes(`*${name.slice(dot)}`));
}

/**
 * Whether a request came over a connection that was not made for its host (RFC 9110 §7.4, §15.5.20). A connection may be used for every host that its certificate
 * covers (RFC 9113 §9.1.1), and for hosts that would have been given the same one. `serverName`: of the handshake, undefined when there was none.
 */
export function isMisdirected(certificates: Certificates, serverName: string | undefined, host: string | undefined): boolean {
  if (host === undefined || host === serverName) return false;
  const used = certificateFor(certificates, serverName);
  return used !== undefined && certificateFor(certificates, host) !== used && !covers(used, host);
}

const WARN_BEFORE_MS = 14 * 24 * 3_600_000;

/** What is to be said about a certificate's time of validity, undefined when nothing. */
export function validityProblem({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): string | undefined {
  if (nowMs > notAfterMs) return 'the certificate has expired';
  if (nowMs < notBeforeMs) return 'the certificate is not valid yet';
  return notAfterMs - nowMs < WARN_BEFORE_MS ? 'the certificate expires soon' : undefined;
}
