/** HTTP fields, against readings of their own that are slow and plain. */

import { isIP } from 'node:net';
import {
  codingWeights,
  evaluatePreconditions,
  formatHttpDate,
  layOutRanges,
  listMembers,
  nodeAddress,
  parseCacheControl,
  parseForwarded,
  parseForwardedFor,
  parseHttpDate,
  parseTargetedCacheControl,
  preferredCoding,
  rangeApplies,
  secondsOf,
  selectRanges,
} from '@sluice/http-semantics';
import { clientAddress, forwardedScheme } from '../../../apps/edge/src/domain/client-address.ts';
import { mutateText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { law, target } from '../target.ts';

const RANGES = [
  'bytes=0-0',
  'bytes=0-499, 500-999',
  'bytes=-1',
  'bytes=5-',
  'bytes=0-,-1',
  'bytes = 1-2 , 4-5',
  'items=0-1',
  'bytes=9-1',
  'bytes=0-1,3-4,6-7',
];
const RANGE_WORDS = ['bytes=', '-', ',', '0-0', '-0', '-1', '1-', ' ', '\t', '"', ',,', '0-9999999999999999999'];

/** A way of its own to the same: the bytes of a representation that a Range field asks for, undefined when the field is to be ignored. RFC 9110 §14.1.2, §14.2. */
function askedBytes(field: string, size: number): Set<number> | undefined {
  const specs = /^\s*bytes\s*=(.*)$/is
    .exec(field)?.[1]
    ?.split(',')
    .map((spec) => spec.trim())
    .filter((spec) => spec !== '');
  if (specs === undefined || specs.length === 0) return undefined;
  const asked = new Set<number>();
  for (const spec of specs) {
    const [, first = '', last = ''] = /^(\d*)-(\d*)$/.exec(spec) ?? [];
    if (first === '' && last === '') return undefined;
    if (first !== '' && last !== '' && BigInt(last) < BigInt(first)) return undefined;
    const big = BigInt(size);
    const from = first === '' ? (BigInt(last) > big ? 0n : big - BigInt(last)) : BigInt(first);
    const to = first === '' || last === '' ? big - 1n : BigInt(last) < big ? BigInt(last) : big - 1n;
    for (let at = from; at <= to && at < big; at += 1n) asked.add(Number(at));
  }
  return asked;
}

export const ranges = target({
  name: 'ranges',
  law: 'the ranges that are sent are in the representation, apart from each other, and have every byte that was asked for',
  make: (random) => ({
    field: random.oneIn(2) ? mutateText(random, random.pick(RANGES), RANGE_WORDS) : manyRanges(random),
    size: random.pick([0, 1, 2, 10, 499, 1000, 2 ** 20]),
  }),
  check({ field, size }) {
    const selected = selectRanges(field, size);
    const asked = field.includes('"') || size > 1000 ? 'unknown' : askedBytes(field, size);
    if (selected === undefined)
      return void law(asked === undefined || asked === 'unknown' || listMembers(field).length > 32, () => 'ignored without need');
    if (selected === 'unsatisfiable') return void law(asked === 'unknown' || asked?.size === 0, () => 'refused without need');
    for (const { start, end } of selected) law(start >= 0 && start <= end && end < size, () => `${start}-${end} is not in ${size} bytes`);
    const inOrder = selected.toSorted((a, b) => a.start - b.start);
    law(
      inOrder.every((range, at) => at === 0 || range.start > (inOrder[at - 1]?.end ?? 0)),
      () => 'ranges overlap',
    );
    law(selected.length <= 32, () => `${selected.length} parts`);
    const parts = layOutRanges(selected, size, 'text/plain', 'B');
    law(parts.contentLength <= size + 32 * 200 + 200, () => `a body of ${parts.contentLength} for ${size} bytes`);
    if (asked === 'unknown') return;
    law(asked !== undefined, () => 'taken, though the field is malformed');
    for (const byte of asked)
      law(
        selected.some(({ start, end }) => byte >= start && byte <= end),
        () => `byte ${byte} is missing`,
      );
  },
});

function manyRanges(random: Random): string {
  const one = (): string => `${random.oneIn(9) ? '' : random.size(1200)}-${random.oneIn(5) ? '' : random.size(1200)}`;
  return `bytes=${Array.from({ length: random.between(1, random.oneIn(20) ? 40 : 5) }, one).join(random.pick([',', ', ', ' ,']))}`;
}

const TAGS = ['"a"', 'W/"a"', '"b"', 'W/"b"', '*', '""', '"a,b"', '"\u00e9"'];
const DATES = [
  'Sun, 06 Nov 1994 08:49:37 GMT',
  'Sunday, 06-Nov-94 08:49:37 GMT',
  'Sun Nov  6 08:49:37 1994',
  'Thu, 01 Jan 1970 00:00:00 GMT',
  'never',
];
const CONDITION_NAMES = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range', 'range'] as const;

export const conditions = target({
  name: 'conditions',
  law: 'preconditions of well-formed lists give what RFC 9110 §13.2.2 says, of others any verdict and no failure',
  make: (random) => {
    const mutated = random.oneIn(2);
    const list = (): string =>
      Array.from({ length: random.between(1, 4) }, () => random.pick(TAGS.filter((tag) => tag !== '*'))).join(
        random.pick([',', ', ', ' , ']),
      );
    const value = (name: string): string => {
      const plain = name.endsWith('since') ? random.pick(DATES) : random.oneIn(4) ? random.pick([...TAGS, ...DATES]) : list();
      return mutated ? mutateText(random, plain, [...TAGS, ',', ' ', 'W/', '"', 'GMT']) : plain;
    };
    const fields: Record<string, string> = {};
    for (const name of CONDITION_NAMES) if (random.oneIn(3)) fields[name] = value(name);
    return {
      fields,
      mutated,
      method: random.pick(['GET', 'HEAD', 'PUT', 'DELETE']),
      etag: random.pick(['"a"', '"b"', '"a,b"', 'W/"a"']),
      lastModifiedMs: random.pick([0, 784111777000, 784111777999, 1.8e12]),
    };
  },
  check({ fields, mutated, method, etag, lastModifiedMs }) {
    const verdict = evaluatePreconditions(method, fields, { etag, lastModifiedMs });
    const applies = rangeApplies(fields, { etag, lastModifiedMs });
    if (mutated) return;
    const isRead = method === 'GET' || method === 'HEAD';
    const tagsOf = (list: string): string[] => [...list.matchAll(/(?:W\/)?"[^"]*"/g)].map(([tag]) => tag);
    const weak = (tag: string): string => tag.replace(/^W\//, '');
    const since = (name: string): number | undefined =>
      fields[name] === undefined || Number.isNaN(Date.parse(fields[name])) ? undefined : Date.parse(fields[name]);
    const modified = Math.floor(lastModifiedMs / 1000) * 1000;
    const expected = (): string => {
      const match = fields['if-match'];
      if (match !== undefined && match !== '*' && !tagsOf(match).some((tag) => tag === etag && !tag.startsWith('W/'))) return 'failed';
      if (match === undefined && modified > (since('if-unmodified-since') ?? Number.POSITIVE_INFINITY)) return 'failed';
      const none = fields['if-none-match'];
      if (none !== undefined)
        return none === '*' || tagsOf(none).some((tag) => weak(tag) === weak(etag)) ? (isRead ? 'not-modified' : 'failed') : 'proceed';
      return isRead && modified <= (since('if-modified-since') ?? Number.NEGATIVE_INFINITY) ? 'not-modified' : 'proceed';
    };
    // The two old forms of a date are not all read by Date.parse as GMT.
    if (Object.values(fields).some((value) => value.startsWith('Sun Nov') || value.startsWith('Sunday'))) return;
    law(verdict === expected(), () => `${verdict} instead of ${expected()}`);
    law(
      applies === (fields['if-range'] === undefined || (fields['if-range'] === etag && !etag.startsWith('W/'))),
      () => 'If-Range is read wrongly',
    );
  },
});

const ENCODINGS = [
  'gzip, deflate, br, zstd',
  'br;q=1.0, gzip;q=0.8, *;q=0.1',
  'identity;q=0',
  '*;q=0',
  '',
  'gzip;q=0.001',
  'x-gzip',
  'br ; q=0.5',
  'GZIP;Q=1',
];
const CODINGS = ['zstd', 'br', 'gzip', 'identity'] as const;

export const codings = target({
  name: 'codings',
  law: 'weights are from 0 to 1, the coding that is chosen is available, acceptable and the best of those',
  make: (random) =>
    mutateText(random, random.pick(ENCODINGS), [
      'q=',
      ';',
      ',',
      '*',
      '0',
      '1',
      '.',
      'br',
      'gzip',
      'identity',
      ' ',
      '"',
      '0.1234',
      'q=2',
      'q=-1',
      'q=1e3',
    ]),
  check(field) {
    const weightOf = codingWeights(field);
    for (const coding of CODINGS) law(weightOf(coding) >= 0 && weightOf(coding) <= 1, () => `${coding} has the weight ${weightOf(coding)}`);
    const best = preferredCoding(field, CODINGS);
    const most = Math.max(...CODINGS.map(weightOf));
    law(best === undefined ? most === 0 : weightOf(best) === most && most > 0, () => `${best} is not the best`);
    if (!/["\\]/.test(field) && /(?:^|,)\s*br\s*;\s*q=0(?:\.0{0,3})?\s*(?:,|$)/i.test(field) && !/br[^,]*,.*br/i.test(field)) {
      law(weightOf('br') === 0, () => 'br is excluded and taken all the same');
    }
  },
});

const CACHE_CONTROLS = [
  'max-age=60, stale-while-revalidate=30',
  'no-store',
  'private="set-cookie", max-age="5"',
  'public, s-maxage=1, immutable',
  'max-age=99999999999999999999',
  'a=b=c',
  'max-age',
];

export const cacheControls = target({
  name: 'cache-controls',
  law: 'directives have names, seconds are whole and from 0 to 2^31, and no field makes a failure',
  make: (random) =>
    mutateText(random, random.pick(CACHE_CONTROLS), [
      'max-age=',
      '"',
      '\\',
      ',',
      '=',
      ' ',
      'no-cache',
      'no-store',
      '?0',
      '?1',
      ':YWJj:',
      '(1 2)',
      ';a',
      '@1',
      '%"%41"',
    ]),
  check(field) {
    for (const directives of [parseCacheControl(field), parseTargetedCacheControl(field) ?? new Map()]) {
      for (const name of directives.keys()) {
        law(name !== '', () => 'a directive without a name');
        const seconds = secondsOf(directives, name) ?? 0;
        law(Number.isSafeInteger(seconds) && seconds >= 0 && seconds <= 2 ** 31, () => `${name} of ${seconds} seconds`);
      }
    }
  },
});

export const dates = target({
  name: 'http-dates',
  law: 'a date that is read is one, and the same when it is written and read again',
  make: (random) =>
    mutateText(random, random.pick(DATES), ['GMT', 'Jan', '29 Feb', '31', '24:00:00', '23:59:60', '0000', '9999', ' ', ',', '-']),
  check(text) {
    const ms = parseHttpDate(text, 1.8e12);
    if (ms === undefined) return;
    law(Number.isSafeInteger(ms), () => `${ms} ms`);
    law(parseHttpDate(formatHttpDate(ms), 1.8e12) === ms, () => `${formatHttpDate(ms)} is another time`);
  },
});

const FORWARDED = [
  'for=192.0.2.60;proto=http;by=203.0.113.43',
  'for="[2001:db8:cafe::17]:4711", for=unknown',
  'For="_gazonk"',
  'for=192.0.2.1, for=10.0.0.1;proto=https',
  'for="a\\"b"',
];
const FORWARDED_FOR = ['192.0.2.1, 10.0.0.1', '2001:db8::1', 'unknown, 10.0.0.2', '10.0.0.1'];

export const forwarded = target({
  name: 'forwarded',
  law: 'whom a request comes from is an address, and what a visitor writes before the words of a trusted proxy changes nothing',
  make: (random) => ({
    forwarded: random.oneIn(4)
      ? undefined
      : mutateText(random, random.pick(FORWARDED), ['for=', '"', '\\', ';', ',', '=', 'proto=', '[', ']', '::1', ' ']),
    forwardedFor: random.oneIn(2)
      ? undefined
      : mutateText(random, random.pick(FORWARDED_FOR), [',', ' ', '[', ']', ':80', '::', '10.0.0.1', '"']),
    proto: random.oneIn(2) ? undefined : mutateText(random, 'https', [',', 'http', ' ']),
  }),
  check({ forwarded: value, forwardedFor, proto }) {
    const isTrusted = (address: string): boolean => address.startsWith('10.');
    const peer = { address: '10.9.9.9', trusted: true };
    const fields = {
      ...(value === undefined ? {} : { forwarded: value }),
      ...(forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor }),
      ...(proto === undefined ? {} : { 'x-forwarded-proto': proto }),
    };
    const address = clientAddress(peer, fields, isTrusted);
    law(address !== undefined && isIP(address) !== 0, () => `${address} is no address`);
    const scheme = forwardedScheme(peer, fields);
    law(scheme === undefined || scheme === 'http' || scheme === 'https', () => `the scheme ${scheme}`);
    law(clientAddress({ address: '192.0.2.9', trusted: false }, fields, isTrusted) === '192.0.2.9', () => 'who is not trusted is believed');
    for (const node of parseForwardedFor(forwardedFor ?? '')) nodeAddress(node);
    // A proxy adds its own behind what it got.
    const added = clientAddress(peer, { 'x-forwarded-for': `${forwardedFor ?? ''}, 198.51.100.7` }, isTrusted);
    law(added === '198.51.100.7', () => `${added} instead of the address that the proxy tells`);
    if (value !== undefined && parseForwarded(value) !== undefined) {
      const told = clientAddress(peer, { forwarded: `${value}, for=198.51.100.7` }, isTrusted);
      law(told === '198.51.100.7', () => `${told} instead of the address that the proxy tells`);
    }
  },
});
