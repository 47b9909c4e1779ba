import { isIP, SocketAddress } from 'node:net';

const IPV4_MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;

/**
 * The one spelling of an IP address, undefined when `text` is none: IPv6 in lower case and shortened (RFC 5952), IPv4 that was mapped into IPv6 as IPv4 (RFC 4291
 * §2.5.5.2). A zone is left out, because it means something on one machine only (RFC 4007 §6).
 */
export function ipAddress(text: string): string | undefined {
  const family = isIP(text);
  if (family === 4) return text;
  if (family === 0) return undefined;
  const [address = ''] = text.split('%');
  const shortened = new SocketAddress({ address, family: 'ipv6' }).address;
  return IPV4_MAPPED.exec(shortened)?.[1] ?? shortened;
}
