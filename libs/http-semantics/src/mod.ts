/** What HTTP says (RFC 9110, RFC 9111 and their company), as pure functions: fields in, decisions out. No sockets, no clock of its own. */
export { codingWeights, preferredCoding } from './accept-encoding.ts';
export { type ByteRange, selectRanges } from './byte-ranges.ts';
export { type CacheDirectives, parseCacheControl, secondsOf } from './cache-control.ts';
export { type Fields, fieldOf, listMembers } from './fields.ts';
export { type ForwardedElement, nodeAddress, parseForwarded, parseForwardedFor } from './forwarded.ts';
export { formatHttpDate, parseHttpDate } from './http-date.ts';
export { ipAddress } from './ip-address.ts';
export { contentRange, layOutRanges, unsatisfiedRange } from './multipart-ranges.ts';
export { evaluatePreconditions, rangeApplies, type Validators, type Verdict } from './preconditions.ts';
export { parseTargetedCacheControl } from './targeted-cache-control.ts';
