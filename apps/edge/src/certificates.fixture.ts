/** Certificates made in a test, and files that hold them. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generate } from 'selfsigned';

const DAY_MS = 24 * 3_600_000;

/** PEM. */
export interface TestCertificate {
  readonly certificate: string;
  readonly key: string;
}

export interface CertificateOptions {
  readonly dnsNames?: readonly string[];
  readonly validFromMs?: number;
  readonly validForDays?: number;
  /** Absent: it signs itself. */
  readonly signedBy?: TestCertificate;
  readonly isAuthority?: boolean;
}
let made = 0;

export async function makeCertificate(options: CertificateOptions = {}): Promise<TestCertificate> {
  const { dnsNames = ['localhost'], validFromMs = Date.now() - DAY_MS, validForDays = 91, signedBy, isAuthority = false } = options;
  made += 1;
  const { cert, private: key } = await generate([{ name: 'commonName', value: `Test ${made}` }], {
    ...{ keyType: 'ec', algorithm: 'sha256' },
    ...{ notBeforeDate: new Date(validFromMs), notAfterDate: new Date(validFromMs + validForDays * DAY_MS) },
    ...(signedBy === undefined ? {} : { ca: { cert: signedBy.certificate, key: signedBy.key } }),
    extensions: [
      { name: 'basicConstraints', cA: isAuthority, critical: true },
      { name: 'subjectAltName', altNames: dnsNames.map((value) => ({ type: 2, value })) },
    ],
  });
  return { certificate: `${cert.trim()}\n`, key };
}

/** Writes `<name>.crt` and `<name>.key` as tools that renew certificates do: beside the old ones and then in their place. */
export async function writeCertificate(directory: string, name: string, { certificate, key }: TestCertificate): Promise<TestCertificate> {
  const paths = { certificate: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  await replaceFile(paths.key, key);
  await replaceFile(paths.certificate, certificate);
  return paths;
}

export async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
