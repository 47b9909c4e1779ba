/** Who a request comes from, and by which scheme: what a proxy in front says counts only when it is trusted. */
import { type Fields, fieldOf, nodeAddress, parseForwarded, parseForwardedFor } from '@sluice/http-semantics';

/** The far end of a connection: the visitor, or a proxy that passes visitors' requests on. */
export interface Peer {
  /** Undefined when it is not known, as of a connection that is gone already. */
  readonly address: string | undefined;
  /** Whether it is a trusted proxy, whose fields are believed. */
  readonly trusted: boolean;
}

/**
 * The address of the visitor that a request comes from. Of a trusted peer the fields `Forwarded` and `X-Forwarded-For` are read from their end, where the nearest proxy
 * has written, and the first address that is not trusted is the visitor's; what stands before it the visitor may have made up (RFC 7239 §8.1). Where a proxy tells no
 * address, that proxy's own is the last that is known.
 *
 * A proxy that knows one of the two fields passes the other on as the visitor has sent it. So when both are there and do not agree, neither is believed, and the peer's
 * own address counts; the same for a `Forwarded` field that is malformed.
 */
export function clientAddress(peer: Peer, fields: Fields, isTrusted: (address: string) => boolean): string | undefined {
  if (!peer.trusted || peer.address === undefined) return peer.address;
  const forwarded = fieldOf(fields, 'forwarded');
  const forwardedFor = fieldOf(fields, 'x-forwarded-for');
  if (forwarded === undefined && forwardedFor === undefined) return peer.address;
  const told: string[] = [];
  if (forwarded !== undefined) {
    const elements = parseForwarded(forwarded);
    if (elements === undefined) return peer.address;
    const nodes = elements.map((element) => element.get('for') ?? 'unknown');
    told.push(lastUntrusted(nodes, peer.address, isTrusted));
  }
  if (forwardedFor !== undefined) told.push(lastUntrusted(parseForwardedFor(forwardedFor), peer.address, isTrusted));
  const [address, other] = told;
  return other === undefined || other === address ? address : peer.address;
}

function lastUntrusted(nodes: readonly string[], peerAddress: string, isTrusted: (address: string) => boolean): string {
  let known = peerAddress;
  for (let at = nodes.length - 1; at >= 0; at -= 1) {
    const address = nodeAddress(nodes[at] ?? '');
    if (address === undefined) return known;
    known = address;
    if (!isTrusted(address)) return address;
  }
  return known;
}

/**
 * The scheme by which the visitor came, as a trusted peer tells it: `proto` of the last element of `Forwarded` (RFC 7239 §5.4), or the last member of `X-Forwarded-Proto`.
 * Undefined when it tells none, tells two different ones, or is not trusted; then the scheme is that of the connection.
 */
export function forwardedScheme(peer: Peer, fields: Fields): 'http' | 'https' | undefined {
  if (!peer.trusted) return undefined;
  const forwarded = fieldOf(fields, 'forwarded');
  const forwardedProto = fieldOf(fields, 'x-forwarded-proto');
  const elements = forwarded === undefined ? [] : parseForwarded(forwarded);
  if (elements === undefined) return undefined;
  const inElement = elements.at(-1)?.get('proto')?.toLowerCase();
  const inField = forwardedProto?.split(',').at(-1)?.trim().toLowerCase();
  if (inElement !== undefined && inField !== undefined && inElement !== inField) return undefined;
  const scheme = inElement ?? inField;
  return scheme === 'http' || scheme === 'https' ? scheme : undefined;
}
