/**
 * What the two sides of an edge tell each other: the replica, which keeps this edge's copy right on the main thread, and the serving threads, which answer visitors from
 * it. All of it can be cloned between threads.
 */
import type { BlobRef } from '@sluice/blobs';
import type { BlockDigests, Manifest, WireError } from '@sluice/contracts';
import type { ByteRange } from '@sluice/http-semantics';
import type { AdminCredentials, OperationsReply } from '@sluice/runtime';
import type { FileConfig } from '../adapters/config-files.ts';
import type { Stamp } from '../adapters/index-stamps.ts';
import type { AccessLogFormat } from '../domain/access-log.ts';
import type { Content } from '../domain/content-coding.ts';
import type { AddressRange } from '../domain/trusted-ranges.ts';
import type { MemoryChange } from './memory-tier.ts';
import type { Pulled } from './puller.ts';
import type { SharedBlob } from './sharing.ts';

/** What a serving thread asks, by name: the question and its answer. */
export interface Questions {
  /** The origin's word on a key, see {@link Puller.pull}. */
  pull: { readonly question: PullQuestion; readonly answer: Pulled | { readonly kind: 'moved' } };
  /** Bytes that this edge does not keep. */
  bringDetached: { readonly question: Manifest; readonly answer: Detached };
  /** What the origin knows now of the blocks of a blob. */
  blockDigests: { readonly question: BlobRef; readonly answer: KnownBlocks };
  /** One block, verified. */
  readBlock: { readonly question: BlockQuestion; readonly answer: Uint8Array };
  /** Has a blob looked at that is listed and was not found, or has other bytes; answered when the list is right. */
  lookFor: { readonly question: string; readonly answer: undefined };
  /** What an operator's path answers. */
  operations: { readonly question: OperationsQuestion; readonly answer: OperationsReply };
}
export interface PullQuestion {
  readonly key: string;
  readonly impatient: boolean;
  /** Of the index when the key was looked up: when it has moved since, the answer is `moved`, because what is known now may do. Undefined: ask anyway. */
  readonly stamp: Stamp | undefined;
}
export interface OperationsQuestion {
  readonly path: string;
  readonly credentials: AdminCredentials;
}
/** `pending`: ask again later. */
export type KnownBlocks =
  | { readonly kind: 'known'; readonly blocks: BlockDigests }
  | { readonly kind: 'pending' }
  | { readonly kind: 'none' };
export interface BlockQuestion {
  readonly sha256: string;
  readonly range: ByteRange;
  /** The SHA-256 that the block has to have. */
  readonly digest: Uint8Array;
  /** Whether it may be kept for others who want it later. */
  readonly keep: boolean;
}
export type Asked = { [Name in keyof Questions]: { readonly name: Name; readonly question: Questions[Name]['question'] } }[keyof Questions];

/** Bytes that are not kept: small ones themselves, large ones in a file that is there until it is released. */
export type Detached =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly id: number; readonly path: string; readonly growth: SharedArrayBuffer };

/** A large blob that is coming, readable as far as it has come. */
export interface Fill {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly path: string;
  readonly growth: SharedArrayBuffer;
}

export type EdgeDatabase = 'index' | 'blobs';

/** Uses of blobs since the last message. */
export type Uses = readonly (readonly [sha256: string, sizeBytes: number, uses: number])[];

export type FromServing =
  | { readonly kind: 'listening'; readonly port: number; readonly tlsPort: number | undefined }
  | { readonly kind: 'failed'; readonly error: WireError }
  | { readonly kind: 'drained' }
  | { readonly kind: 'asked'; readonly id: number; readonly asked: Asked }
  /** Nobody waits for the answer any more. It is awaited all the same, because it may be under way. */
  | { readonly kind: 'withdrawn'; readonly id: number }
  | { readonly kind: 'released'; readonly id: number }
  | { readonly kind: 'share'; readonly blobs: readonly SharedBlob[] }
  | { readonly kind: 'variant-missing'; readonly variant: Content }
  | { readonly kind: 'used'; readonly uses: Uses }
  /** Its file is not what was written. `generation`: of the one that was read. */
  | { readonly kind: 'database-damaged'; readonly database: EdgeDatabase; readonly generation: number };

export type ToServing =
  | { readonly kind: 'answered'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'refused'; readonly id: number; readonly error: WireError }
  | { readonly kind: 'memory'; readonly changes: readonly MemoryChange[] }
  | { readonly kind: 'fill'; readonly fill: Fill }
  | { readonly kind: 'filled'; readonly sha256: string }
  | { readonly kind: 'files'; readonly files: FileConfig }
  /** It was begun anew. */
  | { readonly kind: 'database-replaced'; readonly database: EdgeDatabase; readonly generation: number }
  | { readonly kind: 'reopen-log' }
  | { readonly kind: 'drain' };

/** What a serving thread begins with. */
export interface ServingSetup {
  /** Whether visitors are sent nothing of a blob that is coming before it is verified. */
  readonly verifiedOnly: boolean;
  readonly edgeId: string;
  readonly host: string;
  readonly port: number;
  /** Undefined: no TLS. */
  readonly tlsPort: number | undefined;
  /** Undefined: none is kept. `path` undefined: standard output. */
  readonly accessLog: { readonly format: AccessLogFormat; readonly path: string | undefined } | undefined;
  readonly trustedProxies: readonly AddressRange[];
  /** Connections begin with a PROXY header. */
  readonly proxyProtocol: boolean;
  /** Other threads listen on the same port; the system spreads connections over them. */
  readonly reusePort: boolean;
  readonly connectionsMax: number;
  readonly negativeTtlMs: number;
  readonly logLevel: string;
  readonly indexPath: string;
  /** Of the databases as they are when the thread begins. */
  readonly generations: Readonly<Record<EdgeDatabase, number>>;
  readonly blobsDir: string;
  readonly files: FileConfig;
  /** Of {@link IndexStamps}, {@link ReplicaState} and this thread's {@link ServingCounters}. */
  readonly stamps: SharedArrayBuffer;
  readonly state: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** See {@link MemoryTier}. */
  readonly trialBytes: number;
  readonly uses: Uint8Array;
  readonly memoryFull: Int32Array;
}
