import type { Manifest, PreviousVersion } from '@sluice/contracts';
import { isDeltaCandidate } from '@sluice/delta';

/**
 * The version against which a patch to `manifest` may be offered: the one before, when the asker holds its bytes and a patch can be
 * worth its while. Undefined: send the whole (or nothing, when the asker holds it already).
 */
export function patchBase(manifest: Manifest, previous: PreviousVersion | undefined, have: readonly string[]): PreviousVersion | undefined {
  if (previous === undefined || previous.sha256 === manifest.sha256) return undefined;
  if (have.includes(manifest.sha256) || !have.includes(previous.sha256)) return undefined;
  return isDeltaCandidate(previous.size, manifest.size) ? previous : undefined;
}
