/** Changes to valid inputs, as whoever means ill or counts wrong would make them. Noise alone is refused at the first byte and finds nothing. */
import type { Random } from './random.ts';

/** Longest text or list of bytes that a change makes of a short one. */
const GROWN_MAX = 20_000;

const CHARACTERS = [
  ...'\0\t\n\r "%&\'()*+,-./:;<=>?@[\\]^_`{|}~09AZaz',
  '\x7f',
  '\x80',
  '\xff',
  'é',
  '\u2028',
  '\ud800',
  '\udfff',
  '\ufeff',
  '\uffff',
  '😀',
];
const NUMBERS = ['0', '-0', '-1', '00', '1', '2', '9', '+1', '1.5', '1e3', '1e309', '0x10', ' 1', '255', '256', '65535', '65536'].concat(
  ['2147483647', '2147483648', '4294967295', '4294967296', '9007199254740991', '9007199254740992', '18446744073709551616'],
  ['9'.repeat(30), '9'.repeat(400), '١', 'NaN', 'Infinity', ''],
);

/** Some changes to a text; `words`: what means something where it is read. */
export function mutateText(random: Random, text: string, words: readonly string[]): string {
  let changed = text;
  for (let left = random.between(1, 4); left > 0; left -= 1) changed = changeText(random, changed, words);
  return changed;
}

function changeText(random: Random, text: string, words: readonly string[]): string {
  const at = random.below(text.length + 1);
  const before = text.slice(0, at);
  const rest = text.slice(at);
  switch (random.below(12)) {
    case 0:
      return before + random.pick(CHARACTERS) + rest;
    case 1:
      return before + random.pick(CHARACTERS) + rest.slice(1);
    case 2:
      return before + rest.slice(random.size(20));
    case 3:
      return before + random.pick(words) + rest;
    case 4:
      return before + random.pick(words) + rest.slice(random.size(20));
    case 5: {
      const again = text.slice(at, at + random.size(60));
      return before + again + rest;
    }
    case 6:
      return withOtherNumber(random, text);
    case 7:
      return random.oneIn(2) ? before : rest;
    case 8: {
      if (!random.oneIn(8)) return text + random.pick(words);
      const unit = random.oneIn(2) ? random.pick(CHARACTERS) : random.pick(words);
      return before + unit.repeat(Math.min(random.size(2_000), Math.floor(GROWN_MAX / Math.max(unit.length, 1)))) + rest;
    }
    case 9: {
      const end = at + random.size(12);
      const piece = text.slice(at, end);
      return before + (random.oneIn(2) ? piece.toUpperCase() : piece.toLowerCase()) + text.slice(end);
    }
    case 10:
      return rest + before;
    default:
      return before + String.fromCharCode(random.below(random.oneIn(4) ? 0x10000 : 0x80)) + rest.slice(1);
  }
}

/** One of its numbers is another. */
function withOtherNumber(random: Random, text: string): string {
  const numbers = [...text.matchAll(/\d+/g)];
  if (numbers.length === 0) return text;
  const found = random.pick(numbers);
  return text.slice(0, found.index) + random.pick(NUMBERS) + text.slice(found.index + found[0].length);
}

/** Some changes to bytes. */
export function mutateBytes(random: Random, bytes: Uint8Array, words: readonly Uint8Array[] = []): Uint8Array {
  let changed = bytes;
  for (let left = random.between(1, 4); left > 0; left -= 1) changed = changeBytes(random, changed, words);
  return changed;
}

const BYTES = [0, 1, 9, 10, 13, 32, 34, 44, 45, 48, 58, 92, 123, 125, 127, 128, 0xc0, 0xed, 0xef, 0xf4, 0xfe, 0xff];

function changeBytes(random: Random, bytes: Uint8Array, words: readonly Uint8Array[]): Uint8Array {
  const at = random.below(bytes.byteLength + 1);
  const before = bytes.subarray(0, at);
  const rest = bytes.subarray(at);
  switch (random.below(9)) {
    case 0:
      return joined(before, Uint8Array.of(random.pick(BYTES)), rest);
    case 1:
      return joined(before, Uint8Array.of(random.below(256)), rest.subarray(1));
    case 2:
      return joined(before, rest.subarray(random.size(32)));
    case 3:
      return joined(before, rest.subarray(0, random.size(64)), rest);
    case 4:
      return random.oneIn(2) ? before : rest;
    case 5:
      return words.length === 0 ? joined(before, random.bytes(random.size(8)), rest) : joined(before, random.pick(words), rest);
    case 6: {
      const flipped = Uint8Array.from(bytes);
      if (at < flipped.byteLength) flipped[at] = (flipped[at] as number) ^ (1 << random.below(8));
      return flipped;
    }
    case 7:
      return random.oneIn(10)
        ? joined(before, new Uint8Array(random.size(GROWN_MAX)).fill(random.pick(BYTES)), rest)
        : joined(bytes, bytes);
    default: {
      // Numbers in binary forms have two, three or four bytes.
      const number = Uint8Array.from({ length: random.between(2, 4) }, () => random.pick([0, 1, 0x7f, 0x80, 0xff]));
      return joined(before, number, rest.subarray(number.byteLength));
    }
  }
}

export function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

/** JSON values as text, so that there can be what no value can say: a name twice, numbers without end. */
const HOSTILE_JSON = [
  ...['null', 'true', 'false', '0', '-0', '-1', '1.5', '1e309', '-1e309', '9007199254740991', '9007199254740992', '""', '[]', '{}'],
  ...['"__proto__"', '{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}', '"\\ud800"', '"\\u0000"', '"..//"'],
  ...['"site/../../etc/passwd"', '"\\ufeff"', '[null]', '[[]]', '{"":""}', '"*"', '">"', '"a\\r\\nX: y"', '"US"', '"toString"'],
];

/** A message of the same kind with some of its values, names and lists changed, as UTF-8. */
export function mutateJson(random: Random, value: unknown): string {
  const nodes: object[] = [];
  collect(value, nodes);
  const chosen = new Set<unknown>();
  for (let left = random.between(1, 3); left > 0 && nodes.length > 0; left -= 1) chosen.add(random.pick(nodes));
  return write(random, value, chosen);
}

function collect(value: unknown, nodes: object[]): void {
  if (typeof value !== 'object' || value === null) return;
  nodes.push(value);
  for (const child of Object.values(value)) collect(child, nodes);
}

function write(random: Random, value: unknown, chosen: ReadonlySet<unknown>): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const isList = Array.isArray(value);
  const names = Object.keys(value);
  const members = names.map((name) => ({ name, json: write(random, (value as Record<string, unknown>)[name], chosen) }));
  if (chosen.has(value)) changeMembers(random, members, isList);
  const texts = members.map(({ name, json }) => (isList ? json : `${JSON.stringify(name)}:${json}`));
  return isList ? `[${texts.join(',')}]` : `{${texts.join(',')}}`;
}

function changeMembers(random: Random, members: { name: string; json: string }[], isList: boolean): void {
  const at = random.below(members.length + 1);
  const member = members[at];
  switch (random.below(9)) {
    case 0:
    case 1:
      if (member !== undefined) member.json = hostileValue(random);
      return;
    case 2:
      members.splice(at, 1);
      return;
    case 3:
      members.splice(at, 0, {
        name: random.pick(['__proto__', 'constructor', '', 'x', 'toString', 'key', 'version']),
        json: hostileValue(random),
      });
      return;
    case 4:
      // The same name twice: two readers could take another one each.
      if (member !== undefined) members.splice(random.below(members.length + 1), 0, { name: member.name, json: hostileValue(random) });
      return;
    case 5:
      if (member !== undefined) member.json = changeScalar(random, member.json);
      return;
    case 6: {
      const times = isList ? random.size(random.oneIn(50) ? 5_000 : 80) : random.size(80);
      const json = member?.json ?? hostileValue(random);
      if (json.length * times < GROWN_MAX * 4) for (let n = 0; n < times; n += 1) members.push({ name: `n${n}`, json });
      return;
    }
    case 7: {
      const other = members[random.below(members.length + 1)];
      if (member !== undefined && other !== undefined) [member.json, other.json] = [other.json, member.json];
      return;
    }
    default:
      if (member !== undefined) member.json = `[${member.json}]`;
  }
}

function changeScalar(random: Random, json: string): string {
  if (json.startsWith('"'))
    return JSON.stringify(mutateText(random, String(JSON.parse(json)), ['..', '/', '__proto__', '\0', 'site/', '*']));
  return /^-?\d/.test(json) ? random.pick(NUMBERS.slice(0, -5)) || '0' : hostileValue(random);
}

function hostileValue(random: Random): string {
  if (!random.oneIn(30)) return random.pick(HOSTILE_JSON);
  switch (random.below(3)) {
    case 0: {
      const depth = random.size(5_000);
      return '['.repeat(depth) + ']'.repeat(depth);
    }
    case 1: {
      const depth = random.size(3_000);
      return `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
    }
    default:
      return JSON.stringify(random.pick(['x', 'é', '\u0001', '😀']).repeat(random.size(5_000)));
  }
}
