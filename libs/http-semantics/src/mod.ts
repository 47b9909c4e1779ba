/** What HTTP says (RFC 9110, RFC 9111 and their company), as pure functions: fields in, decisions out. No sockets, no clock of its own. */
export { codingWeights, preferredCoding } from './accept-encoding.ts';
export { type ByteRange, RANGES_MAX, selectRanges } from './byte-ranges.ts';
export { type CacheDirectives, DELTA_SECONDS_MAX, parseCacheControl, secondsOf } from './cache-control.ts';
export { type EntityTag, listNames, matchesStrongly, matchesWeakly } from './entity-tag.ts';
export { type Fields, fieldOf, listMembers } from './fields.ts';
export { formatHttpDate, parseHttpDate } from './http-date.ts';
export { contentRange, layOutRanges, type MultipartRanges, unsatisfiedRange } from './multipart-ranges.ts';
export { evaluatePreconditions, rangeApplies, type Validators, type Verdict } from './preconditions.ts';
export { parseTargetedCacheControl } from './targeted-cache-control.ts';
