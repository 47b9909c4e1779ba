/** Who needs what, now. Pure: the origin's answer and the live edges in, one command per edge out. */
import {
  type InvalidateCommand,
  isPlacedIn,
  type Manifest,
  type PreviousVersion,
  type PushCommand,
  type ResolveReply,
  type Signature,
  type TransferPlan,
} from '@sluice/contracts';

/** The state of one key at the origin. */
export type KeyState =
  | {
      readonly kind: 'stored';
      readonly version: number;
      readonly manifest: Manifest;
      readonly previous: PreviousVersion | undefined;
      /** The bytes in base64, when they are small and likely held by nobody. */
      readonly content?: string | undefined;
      /** The origin's, of the manifest, from one that signs: what an edge believes. */
      readonly signature?: Signature | undefined;
    }
  | { readonly kind: 'removed'; readonly version: number; readonly key: string; readonly signature?: Signature | undefined };

/** What an edge has confirmed of a key: the version, and whether it holds it or has forgotten everything up to it. */
export interface Holding {
  readonly version: number;
  readonly present: boolean;
}

export interface PlanEdge {
  readonly id: string;
  readonly region: string;
  /** Undefined when this controller does not know. */
  readonly holds?: Holding | undefined;
}

/** A command without the id of the event that it is sent for. */
type WithoutEvent<Command> = Command extends unknown ? Omit<Command, 'eventId'> : never;
export type PlannedCommand = WithoutEvent<PushCommand>;

export interface PlannedPush {
  readonly edge: string;
  readonly command: PlannedCommand;
}

export interface PlanOptions {
  /** Whether a patch from the first size to the second (bytes) is worth trying: the rule of libs/delta. */
  readonly isDeltaCandidate: (baseBytes: number, targetBytes: number) => boolean;
  /** Push also to edges that have confirmed this version. */
  readonly again: boolean;
}

/** The origin's answer as a state; undefined for a key that it has never known. */
export function keyState(key: string, reply: Exclude<ResolveReply, { ok: false }>): KeyState | undefined {
  if (reply.found) {
    const { manifest, previous, content, signature } = reply;
    return { kind: 'stored', version: manifest.version, manifest, previous, content, signature };
  }
  return reply.removed === undefined ? undefined : { kind: 'removed', ...reply.removed, key };
}

/**
 * The commands that bring the live edges to `state`, at most one per edge. Planning again after they were carried out gives none.
 * No edge outside the placement is told to store.
 */
export function plan(state: KeyState, edges: readonly PlanEdge[], options: PlanOptions): PlannedPush[] {
  const distinct = new Map<string, PlannedCommand>();
  return edges.flatMap((edge) => {
    if (!options.again && isConfirmedAt(edge, state)) return [];
    const command = commandFor(state, edge, options);
    return command === undefined ? [] : [{ edge: edge.id, command: shared(distinct, command) }];
  });
}

/** The same object for equal commands of one plan, so that each is encoded once. */
function shared(distinct: Map<string, PlannedCommand>, command: PlannedCommand): PlannedCommand {
  const what = command.op === 'store' ? `store ${command.transfer.kind}` : command.op;
  const known = distinct.get(what) ?? command;
  distinct.set(what, known);
  return known;
}

function commandFor(state: KeyState, edge: PlanEdge, options: PlanOptions): PlannedCommand | undefined {
  if (state.kind === 'removed') {
    // Any edge may hold a copy that it pulled, or the manifest of an earlier placement.
    return { op: 'remove', key: state.key, version: state.version, reason: 'deleted', ...signedWith(state) };
  }
  const { manifest, previous } = state;
  if (isPlacedIn(manifest.regions, edge.region)) {
    return { op: 'store', manifest, transfer: transferFor(state, edge, options), ...signedWith(state) };
  }
  const wasPlaced = previous !== undefined && isPlacedIn(previous.regions, edge.region);
  if (!wasPlaced && edge.holds?.present !== true) return undefined;
  // That the manifest is of other regions is what the origin has signed.
  const proof = state.signature === undefined ? {} : { manifest, signature: state.signature };
  return { op: 'remove', key: manifest.key, version: manifest.version, reason: 'region', ...proof };
}

function signedWith({ signature }: KeyState): { signature?: Signature } {
  return signature === undefined ? {} : { signature };
}

function transferFor(state: KeyState & { kind: 'stored' }, edge: PlanEdge, options: PlanOptions): TransferPlan {
  const { manifest, previous, content } = state;
  if (isAnnouncedAgain(manifest, edge)) return { kind: 'same' };
  const full = { kind: 'full', ...(content === undefined ? {} : { content }) } as const;
  if (previous === undefined || !isPlacedIn(previous.regions, edge.region)) return full;
  if (previous.sha256 === manifest.sha256) return { kind: 'same' };
  return options.isDeltaCandidate(previous.size, manifest.size) ? { kind: 'delta', base: previous.sha256 } : full;
}

/** The origin has more to say about content that the edge has, as far as is known here. */
function isAnnouncedAgain({ contentVersion }: Manifest, { holds }: PlanEdge): boolean {
  return contentVersion !== undefined && (holds === undefined || (holds.present && holds.version >= contentVersion));
}

function isConfirmedAt(edge: PlanEdge, state: KeyState): boolean {
  return edge.holds !== undefined && edge.holds.version >= state.version;
}

/** The edges that have confirmed `state` before, so that the plan leaves them out although the event concerns them. */
export function alreadyCurrent(state: KeyState, edges: readonly PlanEdge[]): PlanEdge[] {
  return edges.filter(
    (edge) => isConfirmedAt(edge, state) && (state.kind === 'removed' || isPlacedIn(state.manifest.regions, edge.region)),
  );
}

/** An invalidation goes to every live edge: only the edges know what they hold that it covers. */
export function planInvalidation(command: Omit<InvalidateCommand, 'eventId'>, edges: readonly PlanEdge[]): PlannedPush[] {
  return edges.map(({ id }) => ({ edge: id, command }));
}

/** The regions that a placement names and in which no live edge is. */
export function emptyRegions(state: KeyState, edges: readonly PlanEdge[]): string[] {
  if (state.kind === 'removed') return [];
  const served = new Set(edges.map(({ region }) => region));
  return [...new Set(state.manifest.regions)].filter((region) => !served.has(region));
}
