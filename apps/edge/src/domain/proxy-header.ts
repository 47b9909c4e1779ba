/** The header that a proxy puts before a connection's own bytes: the PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt, its sections named here). Pure. */
import { ipAddress } from '@sluice/http-semantics';

/** Whom the connection is made for. */
export type ProxiedSource =
  | { readonly kind: 'address'; readonly address: string }
  /** The proxy itself, for example to see whether this server is well. */
  | { readonly kind: 'local' }
  /** Someone of whom the proxy knows no IP address. */
  | { readonly kind: 'unknown' };

export interface ProxyHeader {
  readonly source: ProxiedSource;
  /** Its length; what follows is the connection's own. */
  readonly bytes: number;
}

/** §2.1: with CRLF, in the worst case. */
const V1_MAX_BYTES = 107;
/** A header of version 2 can announce 65,551 bytes. No address and no TLV in use needs more than this; nginx has the same limit. */
export const V2_MAX_BYTES = 4_096;
const V1_START = Uint8Array.from('PROXY ', (character) => character.charCodeAt(0));
/** §2.2. */
const V2_START = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const V2_FIXED_BYTES = 16;

/**
 * The header at the beginning of what a connection has received so far. `incomplete`: it may still become one, and is shorter than {@link V2_MAX_BYTES}.
 * `invalid`: this begins with no header, or with one that is too long.
 */
export function readProxyHeader(received: Uint8Array): ProxyHeader | 'incomplete' | 'invalid' {
  if (beginsLike(received, V1_START)) return received.length < V1_START.length ? 'incomplete' : readV1(received);
  if (beginsLike(received, V2_START)) return received.length < V2_FIXED_BYTES ? 'incomplete' : readV2(received);
  return 'invalid';
}

function beginsLike(received: Uint8Array, start: Uint8Array): boolean {
  return start.subarray(0, received.length).every((byte, at) => byte === received[at]);
}

/** A port, §2.1: without leading zeros. */
const PORT = '(0|[1-9]\\d{0,4})';
const V1_TCP = new RegExp(`^PROXY TCP([46]) (\\S+) (\\S+) ${PORT} ${PORT}$`);

function readV1(received: Uint8Array): ProxyHeader | 'incomplete' | 'invalid' {
  const start = received.subarray(0, V1_MAX_BYTES);
  const end = start.findIndex((byte, at) => byte === 0x0d && start[at + 1] === 0x0a);
  if (end === -1) return start.length === V1_MAX_BYTES ? 'invalid' : 'incomplete';
  const line = String.fromCharCode(...start.subarray(0, end));
  const bytes = end + 2;
  // §2.1: what follows UNKNOWN is to be ignored.
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { source: { kind: 'unknown' }, bytes };
  const [, family, from = '', to = '', fromPort, toPort] = V1_TCP.exec(line) ?? [];
  const isWellFormed = isOfFamily(from, family) && isOfFamily(to, family) && Number(fromPort) <= 65_535 && Number(toPort) <= 65_535;
  const address = ipAddress(from);
  return isWellFormed && address !== undefined ? { source: { kind: 'address', address }, bytes } : 'invalid';
}

function isOfFamily(address: string, family: string | undefined): boolean {
  return ipAddress(address) !== undefined && !address.includes('%') && address.includes(':') === (family === '6');
}

function readV2(received: Uint8Array): ProxyHeader | 'incomplete' | 'invalid' {
  const view = new DataView(received.buffer, received.byteOffset, received.byteLength);
  const [versionAndCommand, familyAndTransport] = [view.getUint8(12), view.getUint8(13)];
  const addressBytes = ADDRESS_BYTES.get(familyAndTransport);
  const bytes = V2_FIXED_BYTES + view.getUint16(14);
  // §2.2: other commands and families must not be sent, and are refused.
  if ((versionAndCommand !== LOCAL && versionAndCommand !== PROXY) || addressBytes === undefined || bytes > V2_MAX_BYTES) return 'invalid';
  // Of a local connection the addresses are to be passed over, also when they are missing.
  if (versionAndCommand === PROXY && bytes < V2_FIXED_BYTES + addressBytes) return 'invalid';
  if (received.length < bytes) return 'incomplete';
  if (versionAndCommand === LOCAL) return { source: { kind: 'local' }, bytes };
  // Behind the addresses are TLVs (§2.2); none of them is needed here.
  const address = ipAddress(sourceText(view, addressBytes));
  return { source: address === undefined ? { kind: 'unknown' } : { kind: 'address', address }, bytes };
}

const LOCAL = 0x20;
const PROXY = 0x21;
const IPV4_BYTES = 12;
const IPV6_BYTES = 36;
const UNIX_BYTES = 216;
/** By address family and transport: how much the two addresses and ports take. A proxy that speaks HTTP/3 to visitors says UDP. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, IPV4_BYTES],
  [0x12, IPV4_BYTES],
  [0x21, IPV6_BYTES],
  [0x22, IPV6_BYTES],
  [0x31, UNIX_BYTES],
  [0x32, UNIX_BYTES],
]);

/** The source address; empty when it is no IP address. */
function sourceText(view: DataView, addressBytes: number): string {
  if (addressBytes === IPV4_BYTES) return Array.from({ length: 4 }, (_, at) => view.getUint8(V2_FIXED_BYTES + at)).join('.');
  if (addressBytes === IPV6_BYTES)
    return Array.from({ length: 8 }, (_, at) => view.getUint16(V2_FIXED_BYTES + 2 * at).toString(16)).join(':');
  return '';
}
