/** An authority of one's own, and certificates that it signs. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { generate } from 'selfsigned';

const DAY_MS = 24 * 3_600_000;
/** Clocks of other machines may be behind. */
const BACKDATED_MS = DAY_MS;
const AUTHORITY_DAYS = 3_650;
const SERVER_DAYS = 825;
/** A certificate that ends sooner is replaced when there is an opportunity. */
const RENEWED_BEFORE_MS = 60 * DAY_MS;

/** PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export function makeAuthority(nowMs: number): Promise<Certificate> {
  return make('Sluice broker authority', nowMs, AUTHORITY_DAYS, {
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
}

/** `names`: host names and IP addresses by which the server is reached. It may also be a client's, for servers that connect to each other. */
export function makeServerCertificate(authority: Certificate, names: readonly string[], nowMs: number): Promise<Certificate> {
  return make('Sluice broker', nowMs, SERVER_DAYS, {
    ca: { cert: authority.certificate, key: authority.key },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      {
        name: 'subjectAltName',
        altNames: names.map((name) => (isIP(name) === 0 ? { type: 2 as const, value: name } : { type: 7 as const, ip: name })),
      },
    ],
  });
}

/** Whether a server's certificate is of this authority, for all these names, and not about to end. */
export function isGoodFor(certificate: string, authority: string, names: readonly string[], nowMs: number): boolean {
  try {
    const server = new X509Certificate(certificate);
    if (!server.verify(new X509Certificate(authority).publicKey)) return false;
    if (server.validToDate.getTime() - nowMs < RENEWED_BEFORE_MS) return false;
    return names.every((name) => (isIP(name) === 0 ? server.checkHost(name) : server.checkIP(name)) !== undefined);
  } catch {
    return false;
  }
}

async function make(commonName: string, nowMs: number, days: number, options: Parameters<typeof generate>[1]): Promise<Certificate> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: commonName }], {
    ...{ keyType: 'ec', algorithm: 'sha256', ...options },
    ...{ notBeforeDate: new Date(nowMs - BACKDATED_MS), notAfterDate: new Date(nowMs + days * DAY_MS) },
  });
  return { certificate: `${cert.trim()}\n`, key: `${key.trim()}\n` };
}
