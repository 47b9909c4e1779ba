import { describe, expect, test } from 'vitest';
import { parseEdgeList } from './edge-list.ts';

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
