/** Which addresses are those of proxies whose word is taken. Pure; plain data, so that it can be handed to another thread. */
import { ipAddress } from '@sluice/http-semantics';

export interface AddressRange {
  readonly address: string;
  readonly prefixBits: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** Each range is looked at for each new connection. */
export const TRUSTED_RANGES_MAX = 1_000;

const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  /** RFC 1918 and RFC 4193. */
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/**
 * Reads `10.0.0.0/8, 2001:db8::1, loopback`: addresses, ranges in CIDR notation (RFC 4632, RFC 4291 §2.3), and the names `loopback` and `private`.
 * Those that are none of these come back as `problems`, one sentence each.
 */
export function parseTrustedRanges(text: string): { readonly ranges: readonly AddressRange[]; readonly problems: readonly string[] } {
  const ranges: AddressRange[] = [];
  const problems: string[] = [];
  const members = text.split(',').map((member) => member.trim());
  for (const member of members.flatMap((name) => NAMED[name.toLowerCase()] ?? [name])) {
    const range = rangeOf(member);
    if (range !== undefined) ranges.push(range);
    else problems.push(`"${member}" is no address range: write 10.0.0.0/8, 2001:db8::/32, a single address, loopback or private`);
  }
  if (ranges.length > TRUSTED_RANGES_MAX) problems.push(`at most ${TRUSTED_RANGES_MAX} ranges`);
  return { ranges, problems };
}

function rangeOf(member: string): AddressRange | undefined {
  const [, text = '', bits] = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(member) ?? [];
  const address = ipAddress(text);
  // The bits of an IPv4 address that was written as IPv6 would count from another beginning.
  if (address === undefined || address.includes(':') !== text.includes(':')) return undefined;
  const family = address.includes(':') ? 'ipv6' : 'ipv4';
  const longest = family === 'ipv6' ? 128 : 32;
  const prefixBits = Number(bits ?? longest);
  return prefixBits <= longest ? { address, prefixBits, family } : undefined;
}
