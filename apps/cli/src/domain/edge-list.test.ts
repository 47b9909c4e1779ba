import { describe, expect, test } from 'vitest';
import { expandRanges, parseEdgeList } from './edge-list.ts';

describe('--edges', () => {
  test('lists ids with regions and, if wanted, ports; regions are folded to upper case', () => {
    expect(parseEdgeList('us-1:us, eu_2:EU:8090')).toEqual([
      { id: 'us-1', region: 'US' },
      { id: 'eu_2', region: 'EU', port: 8090 },
    ]);
  });

  test.each([
    ['', '"" must be <id>:<region>'],
    ['us-1', '"us-1" must be <id>:<region>'],
    ['us-1:US:1:2', '"us-1:US:1:2" must be'],
    ['us.1:US', 'the id "us.1" must be'],
    ['us-1:', 'the region "" must be'],
    ['us-1:US:70000', '"70000" is no port'],
    ['us-1:US:x', '"x" is no port'],
    ['us-1:US,us-1:EU', '--edges names "us-1" twice'],
  ])('%s is refused, naming the entry', (text, message) => {
    expect(() => parseEdgeList(text)).toThrow(message);
  });
});

describe('ranges of edges', () => {
  test.each([
    ['us-1..3:US,eu-1:EU', 'us-1:US,us-2:US,us-3:US,eu-1:EU'],
    ['us-9..10:US', 'us-9:US,us-10:US'],
    ['1..1:X:8080', '1:X:8080'],
    ['us-1:US', 'us-1:US'],
  ])('%s means %s', (text, expanded) => {
    expect(expandRanges(text)).toBe(expanded);
  });

  test.each(['us-3..1:US', 'us-0..10000:US', 'a-1..9000:US,b-1..9000:US'])('%s is refused', (text) => {
    expect(() => expandRanges(text)).toThrow('--edges');
  });
});
