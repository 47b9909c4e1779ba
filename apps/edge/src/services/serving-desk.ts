/** The replica's answers to what serving threads ask and tell. */
import type { OperationsReply } from '@sluice/runtime';
import { isDatabaseDamaged } from '@sluice/sqlite';
import type { IndexStamps } from '../adapters/index-stamps.ts';
import type { BlockReads } from './block-reads.ts';
import type { DamagedBlobs } from './damaged-blobs.ts';
import type { Databases } from './databases.ts';
import type { DetachedBlobs } from './detached-blobs.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { Puller } from './puller.ts';
import type { Asked, FromServing, OperationsQuestion } from './serving-messages.ts';
import type { SharedMemory } from './shared-memory.ts';
import type { VariantFill } from './variant-fill.ts';

export interface ServingDeskParts {
  readonly stamps: IndexStamps;
  readonly damaged: Pick<DamagedBlobs, 'look'>;
  readonly budget: DiskBudget;
  readonly memory: SharedMemory;
  readonly puller: Puller;
  readonly databases: Pick<Databases, 'damaged'>;
  readonly detached: DetachedBlobs;
  readonly blockReads: BlockReads;
  readonly variants: VariantFill;
  readonly operations: (question: OperationsQuestion) => Promise<OperationsReply>;
}

export class ServingDesk {
  readonly #parts: ServingDeskParts;

  constructor(parts: ServingDeskParts) {
    this.#parts = parts;
  }

  /** `withdrawn`: nobody waits for the answer any more. @throws {SluiceError} */
  async answer(asked: Asked, withdrawn: AbortSignal): Promise<unknown> {
    const { stamps, detached, blockReads, operations } = this.#parts;
    switch (asked.name) {
      case 'pull': {
        const { key, impatient, stamp } = asked.question;
        return stamp === undefined || stamps.holds(stamp) ? this.#pull(key, impatient) : { kind: 'moved' };
      }
      case 'bringDetached':
        return detached.bring(asked.question, withdrawn);
      case 'blockDigests':
        return blockReads.digests(asked.question);
      case 'readBlock':
        return blockReads.read(asked.question);
      case 'lookFor':
        return this.#parts.damaged.look(asked.question);
      case 'operations':
        return operations(asked.question);
    }
  }

  hear(message: Extract<FromServing, { kind: 'share' | 'used' | 'released' | 'variant-missing' | 'database-damaged' }>): void {
    const { budget, memory, databases, detached, variants } = this.#parts;
    switch (message.kind) {
      case 'share':
        memory.take(message.blobs);
        break;
      case 'used':
        for (const [sha256, sizeBytes, uses] of message.uses) budget.touch(sha256, sizeBytes, uses);
        break;
      case 'released':
        detached.release(message.id);
        break;
      case 'variant-missing':
        variants.bring(message.variant);
        break;
      case 'database-damaged':
        databases.damaged(message.database, undefined, message.generation);
        break;
    }
  }

  async #pull(key: string, impatient: boolean): Promise<unknown> {
    const { puller } = this.#parts;
    try {
      return await puller.pull(key, impatient);
    } catch (error) {
      if (!isDatabaseDamaged(error)) throw error;
      // It is being begun anew, in the turn after the one that found it damaged.
      await new Promise((resolve) => setImmediate(resolve));
      return puller.pull(key, impatient);
    }
  }
}
