/** What needs no waiting: answers out of memory, of objects that are fresh. */
import { randomUUID } from 'node:crypto';
import { BlobDamagedError, BlobMissingError, type BlobView, INLINE_MAX_BYTES } from '@sluice/blobs';
import type { Manifest } from '@sluice/contracts';
import { type CacheHandling, cacheStatus } from '../domain/cache-status.ts';
import { type Content, isNegotiated, selectRepresentation } from '../domain/content-coding.ts';
import { planResponse, type ReadRequest, type ResponsePlan } from '../domain/response.ts';
import type { Site } from '../domain/sites/site.ts';
import type { Answer } from '../services/answers.ts';
import type { MemoryTier } from '../services/memory-tier.ts';
import type { UsedBlobs } from '../services/used-blobs.ts';

export interface HitsParts {
  readonly edgeId: string;
  readonly memory: MemoryTier;
  readonly blobs: Pick<BlobView, 'has'>;
  readonly used: Pick<UsedBlobs, 'count'>;
  /** Brings a variant that a visitor would have got. */
  readonly bringVariant: (variant: Content) => void;
}

export interface Hit {
  readonly plan: ResponsePlan;
  /** The body; undefined: it has none. */
  readonly bytes: Uint8Array | undefined;
}

export class Hits {
  readonly #parts: HitsParts;

  constructor(parts: HitsParts) {
    this.#parts = parts;
  }

  /** The response for an object that is held and whose answer needs no bytes at all, or one piece of bytes that are in memory; else undefined. */
  of(request: ReadRequest, answer: Answer & { kind: 'object' }, site: Site | undefined): Hit | undefined {
    if (answer.detached === true || (site !== undefined && answer.manifest.redirectLocation !== undefined)) return undefined;
    const content = answer.manifest;
    const manifest = this.negotiated(request, content);
    const plan = planResponse(manifest, request, this.ofThisEdge(answer), randomUUID);
    const [piece, another] = plan.body;
    if (typeof piece === 'string' || another !== undefined) return undefined;
    // Looked for only now: a 304 and a HEAD need none.
    const held = piece && this.#inMemory(manifest);
    if (piece !== undefined && held === undefined) return undefined;
    if ((held === undefined || manifest !== content) && !this.#isHeld(content.sha256)) return undefined;
    this.countUse(content, manifest);
    return { plan, bytes: piece && held?.subarray(piece.start, piece.end + 1) };
  }

  /** Fields that tell of this edge and this moment. */
  ofThisEdge({ ageSeconds, handling }: { readonly ageSeconds: number; readonly handling: CacheHandling }): string[] {
    return ['Age', String(ageSeconds), 'Cache-Status', cacheStatus(this.#parts.edgeId, handling)];
  }

  /** The representation that the visitor accepts most, of those that are here. */
  negotiated(request: ReadRequest, manifest: Manifest): Manifest {
    if (!isNegotiated(manifest)) return manifest;
    const { bringVariant } = this.#parts;
    const { representation, missing } = selectRepresentation(manifest, request.fields, (sha256) => this.#isHeld(sha256));
    if (missing !== undefined) bringVariant(missing);
    return representation;
  }

  /** Counts a use. Without the content itself there is no hit, so it is of use to whoever gets a variant. */
  countUse(content: Manifest, representation: Manifest): void {
    const { used } = this.#parts;
    used.count(representation.sha256, representation.size);
    if (representation !== content) used.count(content.sha256, content.size);
  }

  #isHeld(sha256: string): boolean {
    const { memory, blobs } = this.#parts;
    return memory.has(sha256) || blobs.has(sha256);
  }

  /** Bytes that are in memory, or come there at once. */
  #inMemory({ sha256, size }: Manifest): Uint8Array | undefined {
    const { memory } = this.#parts;
    const bytes = memory.get(sha256);
    if (bytes !== undefined || size > INLINE_MAX_BYTES || !memory.takes(size)) return bytes;
    try {
      return memory.loadNow(sha256);
    } catch (error) {
      // Evicted or damaged a moment ago: what has to be awaited is looked up again.
      if (error instanceof BlobMissingError || error instanceof BlobDamagedError) return undefined;
      throw error;
    }
  }
}
