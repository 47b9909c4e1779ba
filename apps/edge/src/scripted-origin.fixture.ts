/** An origin that a test holds in its hands: real messages over a real broker, contents and faults as told. */
import { createHash } from 'node:crypto';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Bus } from '@sluice/bus';
import {
  blockBytesFor,
  type Change,
  type EdgeReport,
  encodeBlockDigests,
  type Manifest,
  ORIGIN_CHANGES,
  ORIGIN_FETCH,
  type ResolveReply,
  SluiceError,
} from '@sluice/contracts';
import { makePatch } from '@sluice/delta';
import { manifestOf } from './domain/history.fixture.ts';

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const ENCODERS = { br: brotliCompressSync, zstd: zstdCompressSync, gzip: gzipSync };

export class ScriptedOrigin {
  readonly #bus: Bus;
  readonly blobs = new Map<string, Uint8Array>();
  readonly current = new Map<string, Manifest>();
  readonly changes: Change[] = [];
  readonly counts = { resolve: 0, read: 0, readBytes: 0, blocks: 0, changes: 0 };
  catalogId = 'catalog-1';
  /** Where it says its blobs can be read directly. */
  blobsUrl: string | undefined;
  version = 100;
  /** Called before each answer; a throw is answered as a failure, a promise delays it. */
  interfere: (what: 'resolve' | 'read' | 'blocks' | 'changes', offset?: number) => void | Promise<void> = () => {};
  /** Replaces the bytes that a read gives. */
  distort: (bytes: Uint8Array, offset: number) => Uint8Array = (bytes) => bytes;
  /** Replaces the digests of the blocks of a blob. */
  distortDigests: (digests: Uint8Array) => Uint8Array = (digests) => digests;
  #stop: (() => void)[] = [];

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  async start(): Promise<void> {
    this.#stop = [
      this.#bus.serve(ORIGIN_FETCH, async (request): Promise<ResolveReply | Uint8Array> => {
        this.counts[request.op] += 1;
        await this.interfere(request.op, request.op === 'read' ? request.offset : undefined);
        if (request.op === 'resolve') return this.#resolve(request.key, request.have);
        const bytes = this.blobs.get(request.sha256);
        if (bytes === undefined) throw new SluiceError('BLOB_MISSING', 'gone');
        if (request.op === 'blocks') return this.#blocks(bytes);
        const range = this.distort(bytes.subarray(request.offset, request.offset + request.length), request.offset);
        this.counts.readBytes += range.byteLength;
        return range;
      }),
      this.#bus.serve(ORIGIN_CHANGES, async ({ since, catalogId }) => {
        this.counts.changes += 1;
        await this.interfere('changes');
        const reset = catalogId !== undefined && catalogId !== this.catalogId;
        const changes = this.changes.filter((change) => versionOf(change) > (reset ? 0 : since));
        const blobsUrl = this.blobsUrl === undefined ? {} : { blobsUrl: this.blobsUrl };
        return { ok: true, catalogId: this.catalogId, reset, changes, next: this.version, done: true, ...blobsUrl } as const;
      }),
    ];
    await this.#bus.flush();
  }

  /** Goes away: nobody answers any more. */
  async stop(): Promise<void> {
    for (const stop of this.#stop.splice(0)) stop();
    await this.#bus.flush();
  }

  async #resolve(key: string, have: readonly string[]): Promise<ResolveReply> {
    const manifest = this.current.get(key);
    if (manifest === undefined) return { ok: true, found: false, asOf: this.version };
    const target = this.blobs.get(manifest.sha256);
    const base = have.map((sha256) => this.blobs.get(sha256)).find((bytes) => bytes !== undefined);
    const patch = base === undefined || target === undefined ? undefined : await makePatch(base, target);
    if (base === undefined || patch === undefined) return { ok: true, found: true, manifest, asOf: this.version };
    this.blobs.set(sha256Of(patch), patch);
    return {
      ok: true,
      found: true,
      manifest,
      asOf: this.version,
      patch: { base: sha256Of(base), sha256: sha256Of(patch), size: patch.byteLength },
    };
  }

  #blocks(bytes: Uint8Array): Uint8Array {
    const blockBytes = blockBytesFor(bytes.byteLength);
    if (blockBytes === undefined) throw new SluiceError('NO_BLOCKS', 'too small');
    const digests: Buffer[] = [];
    for (let at = 0; at < bytes.byteLength; at += blockBytes) {
      digests.push(
        createHash('sha256')
          .update(bytes.subarray(at, at + blockBytes))
          .digest(),
      );
    }
    return encodeBlockDigests({ blockBytes, digests: this.distortDigests(Buffer.concat(digests)) });
  }

  /** An upload with its variants, as a later announcement has them. */
  uploadCoded(key: string, text: string, fields: Partial<Manifest> = {}): Manifest {
    const bytes = Buffer.from(text);
    const variants = Object.entries(ENCODERS).map(([coding, encode]) => {
      const coded = encode(bytes);
      this.blobs.set(sha256Of(coded), coded);
      return { coding, sha256: sha256Of(coded), size: coded.byteLength };
    });
    return this.upload(key, bytes, { variants, ...fields });
  }

  /** A new version of a key, in the catalog and in the feed; not pushed. */
  upload(key: string, bytes: Uint8Array, fields: Partial<Manifest> = {}): Manifest {
    this.version += 1;
    const manifest = manifestOf(key, this.version, {
      sha256: sha256Of(bytes),
      size: bytes.byteLength,
      uploadedAt: new Date().toISOString(),
      ...fields,
    });
    this.blobs.set(manifest.sha256, bytes);
    this.current.set(key, manifest);
    const gone = this.changes.findIndex((change) => change.op === 'store' && change.manifest.key === key);
    if (gone !== -1) this.changes.splice(gone, 1);
    this.changes.push({ op: 'store', manifest });
    return manifest;
  }
}

function versionOf(change: Change): number {
  return change.op === 'store' ? change.manifest.version : change.version;
}

/** The next heartbeat of an edge that satisfies `condition`. */
export function nextReport(bus: Bus, id: string, condition: (report: EdgeReport) => boolean): Promise<EdgeReport> {
  return new Promise((resolve) => {
    const subscription = bus.connection.subscribe(`edge.${id}.heartbeat`, {
      callback: (_error, message) => {
        const report = message.json<EdgeReport>();
        if (!condition(report)) return;
        subscription.unsubscribe();
        resolve(report);
      },
    });
  });
}
