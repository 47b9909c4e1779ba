/** Makes and applies patches between two versions of a content. Pure: bytes in, bytes out. */
export {
  applyPatch,
  DELTA_MAX_BYTES,
  DELTA_MAX_SHARE,
  DELTA_MIN_BYTES,
  isDeltaCandidate,
  isUsableBase,
  isWorthwhile,
  makePatch,
  PatchError,
} from './delta.ts';
