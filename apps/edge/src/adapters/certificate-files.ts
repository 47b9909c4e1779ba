/** A certificate and its key from PEM files, checked before a handshake depends on them. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Certificate } from '../domain/certificates.ts';

/** Where a certificate comes from, and what the two files are called where they are configured. */
export interface CertificateSource {
  readonly chainFile: string;
  readonly chainName: string;
  readonly keyFile: string;
  readonly keyName: string;
}

export interface PemTexts {
  readonly chain: string;
  readonly key: string;
}

/** What a file is, or why it cannot be used: one line for each problem. */
export type Read<Value> = { readonly value: Value } | { readonly problems: readonly string[] };

export async function readPemFiles({ chainFile, chainName, keyFile, keyName }: CertificateSource): Promise<Read<PemTexts>> {
  const [chain, key] = await Promise.all([readText(chainFile), readText(keyFile)]);
  const problems = [
    ...(typeof chain === 'string' ? [] : [`${chainName}: ${chain.message}`]),
    ...(typeof key === 'string' ? [] : [`${keyName}: ${key.message}`]),
  ];
  return typeof chain === 'string' && typeof key === 'string' ? { value: { chain, key } } : { problems };
}

async function readText(path: string): Promise<string | Error> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    return error as Error;
  }
}

const CERTIFICATE = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[\s\S]*?-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** Reads what the files hold. The first certificate is the server's own. */
export function parseCertificate(
  { chain, key }: PemTexts,
  { chainFile, chainName, keyFile, keyName }: CertificateSource,
): Read<Certificate> {
  const problems: string[] = [];
  const leaf = readChain(chain, (problem) => problems.push(`${chainName}: ${chainFile} ${problem}`));
  const privateKey = attempt(() => createPrivateKey(key));
  if (privateKey === undefined) {
    const isEncrypted = /ENCRYPTED/.test(key);
    problems.push(
      `${keyName}: ${keyFile} ${isEncrypted ? 'holds an encrypted key; decrypt it, for example with `openssl pkey`' : 'holds no private key in PEM'}`,
    );
  }
  if (leaf === undefined || privateKey === undefined || problems.length > 0) return { problems };
  if (!leaf.checkPrivateKey(privateKey)) {
    return {
      problems: [
        `${keyName}: the key in ${keyFile} does not belong to the first certificate in ${chainFile}; the server's own certificate goes first, then its chain`,
      ],
    };
  }
  try {
    createSecureContext({ cert: chain, key });
  } catch (error) {
    // For example a key that is too short to be allowed.
    return { problems: [`${chainName}: ${chainFile} cannot be used for TLS: ${(error as Error).message}`] };
  }
  return {
    value: {
      ...{ name: chainFile, chain, key },
      dnsNames: dnsNamesOf(leaf),
      notBeforeMs: leaf.validFromDate.getTime(),
      notAfterMs: leaf.validToDate.getTime(),
    },
  };
}

/** The first certificate of a chain; says what is wrong with any of them. */
function readChain(pem: string, complain: (problem: string) => void): X509Certificate | undefined {
  const blocks = pem.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) complain('holds no certificate in PEM');
  const certificates = blocks.map((block, at) => {
    const certificate = attempt(() => new X509Certificate(block));
    if (certificate === undefined) complain(`holds a certificate that cannot be read, number ${at + 1}`);
    return certificate;
  });
  return certificates[0];
}

/** Names are taken from the extension alone: the subject's common name counts no more (RFC 9525 §2). */
function dnsNamesOf(certificate: X509Certificate): string[] {
  return [...(certificate.subjectAltName ?? '').matchAll(/(?:^|, )DNS:([^,"]+)/g)].map(([, name]) => (name as string).toLowerCase());
}

function attempt<Value>(make: () => Value): Value | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
