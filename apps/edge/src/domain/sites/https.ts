/** From HTTP to HTTPS: where a plain request is sent, and what keeps a browser from making one. Pure. */

/** RFC 8555 §8.3: the authority that is to issue the certificate asks for this over plain HTTP, and there may be no certificate yet. */
const ACME_CHALLENGE = '.well-known/acme-challenge/';
const HTTPS_PORT = 443;

/** Whether a path, without its leading slash, is answered over plain HTTP whatever the site says. */
export function staysPlain(path: string): boolean {
  return path.startsWith(ACME_CHALLENGE);
}

/**
 * The same resource over HTTPS. `host`: as a visitor names it, with or without a port; `target`: as it came, in origin-form or absolute-form (RFC 9112 §3.2), of
 * which path and query are kept to the byte. Undefined when the request names no host.
 */
export function httpsLocation(host: string | undefined, target: string, port: number): string | undefined {
  const name = host?.trim().replace(/:\d*$/, '');
  if (name === undefined || name === '') return undefined;
  const path = target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/#.*$/, '');
  return `https://${name}${port === HTTPS_PORT ? '' : `:${port}`}${path.startsWith('/') ? '' : '/'}${path}`;
}

export interface Hsts {
  readonly maxAgeSeconds: number;
  readonly includeSubDomains: boolean;
  readonly preload: boolean;
}

/** The value of Strict-Transport-Security (RFC 6797 §6.1). `preload` is no directive of the RFC but what https://hstspreload.org asks for. */
export function strictTransportSecurity({ maxAgeSeconds, includeSubDomains, preload }: Hsts): string {
  return `max-age=${maxAgeSeconds}${includeSubDomains ? '; includeSubDomains' : ''}${preload ? '; preload' : ''}`;
}
