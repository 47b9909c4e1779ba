/** The far ends of connections: their addresses, which a PROXY header may have told, and whether they are trusted proxies. */
import { BlockList, type Socket } from 'node:net';
import { ipAddress } from '@sluice/http-semantics';
import type { Peer } from '../domain/client-address.ts';
import type { ProxiedSource } from '../domain/proxy-header.ts';
import type { AddressRange } from '../domain/trusted-ranges.ts';

/** What a socket, a TLS socket above it and the socket of an HTTP/2 session have in common. */
export type PeerSocket = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort'>;

export class Peers {
  readonly #trusted = new BlockList();
  readonly #ofSockets = new WeakMap<PeerSocket, Peer>();
  /** By the four numbers that make a connection, because TLS puts another socket above the one that the header came by. An entry goes with its connection. */
  readonly #proxied = new Map<string, Peer>();

  constructor(trusted: readonly AddressRange[]) {
    for (const { address, prefixBits, family } of trusted) this.#trusted.addSubnet(address, prefixBits, family);
  }

  /** Whether an address in its one spelling is that of a trusted proxy. */
  readonly isTrusted = (address: string): boolean => this.#trusted.check(address, address.includes(':') ? 'ipv6' : 'ipv4');

  /** The far end of a connection. Ask while it is open for the first time; it is remembered as long as the socket. */
  of(socket: PeerSocket): Peer {
    const known = this.#ofSockets.get(socket);
    if (known !== undefined) return known;
    const peer = (this.#proxied.size > 0 ? this.#proxied.get(connectionKey(socket)) : undefined) ?? this.#direct(socket);
    this.#ofSockets.set(socket, peer);
    return peer;
  }

  /** Takes over what a PROXY header says of a connection from a trusted proxy. */
  introduce(socket: Socket, source: ProxiedSource): void {
    if (source.kind === 'local') return; // the proxy speaks for itself
    const { address } = source.kind === 'address' ? source : this.#direct(socket);
    // Of a visitor whose address the proxy does not know, the connection has the proxy's address, and the visitor's own fields.
    const peer = { address, trusted: source.kind === 'address' && address !== undefined && this.isTrusted(address) };
    this.#ofSockets.set(socket, peer);
    const key = connectionKey(socket);
    this.#proxied.set(key, peer);
    socket.once('close', () => {
      // The system may have given the numbers to another connection before the end of this one was noticed.
      if (this.#proxied.get(key) === peer) this.#proxied.delete(key);
    });
  }

  #direct(socket: PeerSocket): Peer {
    const address = ipAddress(socket.remoteAddress ?? '');
    return { address, trusted: address !== undefined && this.isTrusted(address) };
  }
}

function connectionKey({ remoteAddress, remotePort, localAddress, localPort }: PeerSocket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
