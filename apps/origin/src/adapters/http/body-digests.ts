import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { IHasher } from 'hash-wasm';
import type { DigestAlgorithm } from '../../domain/upload-digests.ts';

/** Castagnoli's polynomial (RFC 9260, appendix A), reflected. */
const CRC32C_POLYNOMIAL = 0x82f63b78;
/** CRC-64/NVME (NVM Express base specification, §5.2.1.3.4), reflected. */
const CRC64NVME_POLYNOMIAL = '9a6c9329ac4bc9b5';

interface RunningDigest {
  update(chunk: Uint8Array): void;
  hex(): string;
}

/** Computes the asked-for digests of a body in one pass; SHA-256 is the blob store's, as it names the content. */
export class BodyDigests {
  readonly #running: ReadonlyMap<DigestAlgorithm, RunningDigest>;

  private constructor(running: ReadonlyMap<DigestAlgorithm, RunningDigest>) {
    this.#running = running;
  }

  static async create(algorithms: Iterable<DigestAlgorithm>): Promise<BodyDigests> {
    const running = new Map<DigestAlgorithm, RunningDigest>();
    for (const algorithm of algorithms) running.set(algorithm, await start(algorithm));
    return new BodyDigests(running);
  }

  update(chunk: Uint8Array): void {
    for (const digest of this.#running.values()) digest.update(chunk);
  }

  /** Lower-case hexadecimal by algorithm, most significant byte first. Call once. */
  finish(): Partial<Record<DigestAlgorithm, string>> {
    return Object.fromEntries([...this.#running].map(([algorithm, digest]) => [algorithm, digest.hex()]));
  }
}

/** The library of the rarer two is loaded when one is first asked for: it takes 5 MB that most origins never need. */
async function start(algorithm: DigestAlgorithm): Promise<RunningDigest> {
  switch (algorithm) {
    case 'crc32':
      return runningCrc32();
    case 'crc32c':
      return fromWasm(await (await import('hash-wasm')).createCRC32(CRC32C_POLYNOMIAL));
    case 'crc64nvme':
      return fromWasm(await (await import('hash-wasm')).createCRC64(CRC64NVME_POLYNOMIAL));
    default:
      return fromCrypto(createHash(algorithm));
  }
}

function runningCrc32(): RunningDigest {
  let value = 0;
  return {
    update: (chunk) => {
      value = crc32(chunk, value);
    },
    hex: () => value.toString(16).padStart(8, '0'),
  };
}

function fromWasm(hasher: IHasher): RunningDigest {
  return { update: (chunk) => void hasher.update(chunk), hex: () => hasher.digest('hex') };
}

function fromCrypto(hash: Hash): RunningDigest {
  return { update: (chunk) => void hash.update(chunk), hex: () => hash.digest('hex') };
}
