/**
 * Whose word this edge takes: where it was given the origin's public keys, nobody's but the origin's. Everything that comes from the broker and decides what is served goes through here before
 * anything is done with it: pushed commands, and replies of the origin. Bytes need no signature, they are verified by the checksums in what is signed.
 */
import { type Exchange, isPlacedIn, type PushCommand, type RemoveCommand, SluiceError, selectorOf } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import { type PublicKeys, type Statement, verifyReply, verifyStatement } from '@sluice/signing';
import type { TrustRefusal } from '../metrics.ts';

/** Somebody who floods an edge with forgeries fills no log with it: of each reason one line in so long. */
export const COMPLAINT_REST_MS = 10_000;

const MENDING: Readonly<Record<TrustRefusal, string>> = {
  unsigned: 'it is not signed: give the origin a key in ORIGIN_SIGNING_KEY_FILE, or somebody else is speaking for it',
  unknown_key:
    'it is signed with a key that this edge does not know: add its public key to EDGE_ORIGIN_PUBLIC_KEYS_FILE, or somebody else is speaking for the origin',
  wrong: 'it is not what the origin has signed: it was changed, or made up',
  contradictory: 'what the origin has signed says something else',
};

/** What came is not the origin's word. From a push it will be no other when it is sent again; another one of several origins may give another reply. */
export class SignatureRefusedError extends SluiceError {
  constructor(what: string, reason: TrustRefusal, retryable: boolean) {
    super('SIGNATURE_REFUSED', `${what}: ${MENDING[reason]}`, { retryable });
    this.name = 'SignatureRefusedError';
  }
}

/** A push is a step from what the origin said last; who has not asked the origin yet takes none, because an old one looks like a new one. */
export class NotCaughtUpError extends SluiceError {
  constructor() {
    super('NOT_CAUGHT_UP', 'this edge has to ask the origin first, and does so now', { retryable: true });
    this.name = 'NotCaughtUpError';
  }
}

export interface OriginTrustParts {
  /** Those in force now. */
  readonly publicKeys: () => PublicKeys;
  readonly region: string;
  readonly index: { readonly watermark: number };
  /** Whether the origin has been asked for everything since this edge was started. */
  readonly hasCaughtUp: () => boolean;
  /** A push came too early: what it says has to be asked for. */
  readonly onEarly: () => void;
  readonly onRefused: (reason: TrustRefusal) => void;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'error'>;
}

export class OriginTrust {
  readonly #parts: OriginTrustParts;
  readonly #complaints = new Map<TrustRefusal, { restingUntilMs: number; suppressed: number }>();

  constructor(parts: OriginTrustParts) {
    this.#parts = parts;
  }

  /**
   * The command as it may be carried out.
   * @throws {SignatureRefusedError | NotCaughtUpError}
   */
  admit(command: PushCommand): PushCommand {
    const { publicKeys, hasCaughtUp, onEarly, index } = this.#parts;
    const refusal = verifyStatement(publicKeys(), statementOf(command), command.signature);
    if (refusal !== undefined) this.#refuse(`the push "${command.op}"`, refusal, false);
    if (command.op === 'remove') this.#checkRemoval(command);
    if (!hasCaughtUp()) {
      onEarly();
      throw new NotCaughtUpError();
    }
    // What it covered has been purged, when this edge caught up with it. Sent again it may not take bytes that have come since; to ask before serving costs nobody anything.
    if (command.op === 'invalidate' && command.mode === 'purge' && command.version <= index.watermark) return { ...command, mode: 'stale' };
    return command;
  }

  /** Looks at a reply of the origin's. @throws {SignatureRefusedError} */
  readonly verify = (exchange: Exchange, signature: string | undefined): void => {
    const refusal = verifyReply(this.#parts.publicKeys(), exchange, signature);
    if (refusal !== undefined) this.#refuse(`a reply on ${exchange.subject}`, refusal, true);
  };

  /** That an object left this region is said by its manifest: of this version of this key, and of other regions. */
  #checkRemoval({ reason, key, version, manifest }: RemoveCommand): void {
    if (reason === 'deleted') return;
    const bearsOut = manifest?.key === key && manifest.version === version && !isPlacedIn(manifest.regions, this.#parts.region);
    if (!bearsOut) this.#refuse('the push "remove"', { reason: 'contradictory' }, false);
  }

  #refuse(what: string, { reason, keyId }: { readonly reason: TrustRefusal; readonly keyId?: string }, retryable: boolean): never {
    const { onRefused, clock, log } = this.#parts;
    onRefused(reason);
    const error = new SignatureRefusedError(what, reason, retryable);
    const nowMs = clock.monotonicMs();
    const complaint = this.#complaints.get(reason) ?? { restingUntilMs: Number.NEGATIVE_INFINITY, suppressed: 0 };
    this.#complaints.set(reason, complaint);
    if (nowMs < complaint.restingUntilMs) complaint.suppressed += 1;
    else {
      log.error(
        { err: error, reason, keyId: keyId?.slice(0, 64), suppressed: complaint.suppressed },
        'not the word of the origin, refused',
      );
      complaint.restingUntilMs = nowMs + COMPLAINT_REST_MS;
      complaint.suppressed = 0;
    }
    throw error;
  }
}

/** What has to be signed for a command. */
function statementOf(command: PushCommand): Statement {
  switch (command.op) {
    case 'store':
      return { kind: 'manifest', manifest: command.manifest };
    case 'remove': {
      const { key, version, reason, manifest } = command;
      return reason === 'region' && manifest !== undefined ? { kind: 'manifest', manifest } : { kind: 'removal', key, version };
    }
    case 'invalidate':
      return { kind: 'invalidation', selector: selectorOf(command), version: command.version, mode: command.mode };
  }
}
