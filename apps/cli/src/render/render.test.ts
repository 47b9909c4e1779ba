import { describe, expect, test } from 'vitest';
import type { WatchedEvent } from '../adapters/event-watch.ts';
import { CapturedIo } from '../captured-io.fixture.ts';
import { distributionWarnings } from '../domain/distribution-state.ts';
import { outcome, state } from '../domain/states.fixture.ts';
import { distributionSummary, distributionTable, outcomeText } from './distribution.ts';
import { eventLine } from './event-line.ts';
import { distributionProgress, uploadProgress } from './progress.ts';
import { stackSummary } from './stack.ts';
import { renderTable } from './table.ts';
import { Terminal } from './terminal.ts';

const plain = { style: (_format: unknown, text: string) => text };

describe('table', () => {
  test('columns are as wide as their widest cell, colours take no room, and no line ends in spaces', () => {
    const lines = renderTable(
      [{ title: 'NAME' }, { title: 'SIZE', align: 'right' }, { title: 'NOTE' }],
      [
        ['\u001b[32mlonger name\u001b[39m', '1 B', ''],
        ['x', '1000 kB', 'é'],
      ],
    );
    expect(lines).toEqual(['NAME            SIZE  NOTE', '\u001b[32mlonger name\u001b[39m      1 B', 'x            1000 kB  é']);
  });
});

describe('distribution', () => {
  test('the summary says whether everybody has it, is still awaited, or was missed', () => {
    expect(distributionSummary(state())).toBe('distributed to 1 edge in 84ms');
    const pending = [{ edge: 'eu-1', region: 'EU' }];
    expect(distributionSummary(state({ status: 'distributing', pending }))).toBe('on its way: 1 of 2 edges after 84ms');
    const edges = [outcome('us-1', 'US'), outcome('eu-1', 'EU', { outcome: 'failed' })];
    expect(distributionSummary(state({ edges, complete: false }))).toBe(
      'distributed to 1 of 2 edges in 84ms; the others catch up by themselves',
    );
  });

  test('the table begins with those that are awaited or were missed', () => {
    const edges = [outcome('a', 'US', { transfer: 'delta' }), outcome('b', 'EU', { outcome: 'failed', error: 'no\u001b room' })];
    const lines = distributionTable(state({ edges, pending: [{ edge: 'c', region: 'IN' }] }), plain);
    expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
      ['EDGE', 'REGION', 'OUTCOME', 'TRANSFER', 'BYTES', 'TIME', 'ATTEMPTS', 'ERROR'],
      ['c', 'IN', 'pending'],
      ['b', 'EU', 'failed', 'full', '1.5 kB', '31ms', '1', 'no\\u001b room'],
      ['a', 'US', 'stored', 'delta', '1.5 kB', '31ms', '1'],
    ]);
    expect(outcomeText(outcome('a', 'US'))).toBe('stored (full, 1.5 kB) after 31ms');
  });

  test('regions without an edge, and no edge at all, are warned about', () => {
    expect(distributionWarnings(state())).toEqual([]);
    expect(distributionWarnings(state({ emptyRegions: ['XX', 'YY'] }))[0]).toContain('no live edge in XX, YY');
    expect(distributionWarnings(state({ edges: [] }))[0]).toContain('there was no edge to send it to');
  });
});

describe('progress', () => {
  test('off a terminal each edge gets one line, however often the state is told; of many events only the misses', () => {
    const edges = [outcome('us-1', 'US'), outcome('eu-1', 'EU', { outcome: 'unreachable', error: 'gone' })];
    const told = (missesOnly: boolean): string => {
      const io = new CapturedIo();
      const progress = distributionProgress(new Terminal(io, false), missesOnly);
      for (let round = 0; round < 3; round++) progress.update(state({ edges }));
      progress.stop();
      expect(io.stdout.text).toBe('');
      return io.stderr.text;
    };
    expect(told(false)).toBe('us-1 (US) stored (full, 1.5 kB) after 31ms\neu-1 (EU) unreachable (full, 1.5 kB) after 31ms: gone\n');
    expect(told(true)).toBe('site/app.js: eu-1 (EU) unreachable (full, 1.5 kB) after 31ms: gone\n');
  });

  test('on a terminal there is a bar per region that ends full', () => {
    const io = new CapturedIo();
    const stderr = Object.assign(io.stderr, { isTTY: true, columns: 120, cursorTo: () => true });
    const progress = distributionProgress(new Terminal({ stdout: io.stdout, stderr }, false), false);
    const pending = [{ edge: 'eu-1', region: 'EU' }];
    progress.update(state({ status: 'distributing', pending }));
    progress.update(state({ edges: [outcome('us-1', 'US'), outcome('eu-1', 'EU')] }));
    progress.stop();
    expect(io.stderr.text).toMatch(/EU +█{30} 1\/1/);
    expect(io.stderr.text).toMatch(/US +█{30} 1\/1/);
  });

  test('an upload has a bar only where somebody watches and there is something to see', () => {
    const drawn = (isTTY: boolean, totalBytes: number): string => {
      const io = new CapturedIo();
      const stderr = Object.assign(io.stderr, { isTTY, columns: 120, cursorTo: () => true });
      const progress = uploadProgress(new Terminal({ stdout: io.stdout, stderr }, false), totalBytes);
      progress.add(totalBytes);
      progress.stop();
      return io.stderr.text;
    };
    expect(drawn(true, 5_000_000)).toMatch(/uploading +█{30} 100% +5 MB of 5 MB/);
    expect(drawn(true, 5_000)).toBe('');
    expect(drawn(false, 5_000_000)).toBe('');
  });

  test('for programs there is none', () => {
    const io = new CapturedIo();
    const progress = distributionProgress(new Terminal(io, true), false);
    progress.update(state());
    progress.stop();
    expect(io.stdout.text + io.stderr.text).toBe('');
  });
});

describe('event line', () => {
  const BR = { coding: 'br', sha256: 'b'.repeat(64), size: 1_000 };
  const about = { contentType: 'text/plain', meta: {}, regions: [], tags: [], uploadedAt: '2026-01-01T00:00:00Z' };
  const TEXT = { key: 'site/a', version: 4, sha256: 'a'.repeat(64), size: 5_000, ...about };
  const edge = { id: 'us-1', instance: 'a', region: 'US', url: 'http://e', catalogVersion: 0, objects: 0, bytes: 0, capacityBytes: 1 };
  const events: [WatchedEvent, string][] = [
    [{ kind: 'uploaded', message: { key: 'site/a' } }, 'uploaded     site/a  (by hand: the origin will announce it)'],
    [{ kind: 'uploaded', message: { id: 'e', key: 'site/a', version: 3 } }, 'uploaded     site/a  version 3  event e'],
    [
      {
        kind: 'uploaded',
        message: { id: 'e', key: 'site/a', version: 4, manifest: { ...TEXT, variants: [BR, { ...BR, coding: 'gzip' }] } },
      },
      'uploaded     site/a  version 4  5 kB (br 1 kB, gzip 1 kB)  event e',
    ],
    [{ kind: 'removed', message: { id: 'e', key: 'site/\u001ba', version: 3 } }, 'removed      site/\\u001ba  version 3  event e'],
    [{ kind: 'invalidated', message: { tag: 'v1', mode: 'stale' } }, 'invalidated  tag=v1  stale  (by hand: the origin will announce it)'],
    [
      { kind: 'invalidated', message: { id: 'e', all: true, mode: 'purge', version: 4, at: '2026-01-01T00:00:00Z' } },
      'invalidated  all  purge  version 4  event e',
    ],
    [
      { kind: 'distributed', message: state({ emptyRegions: ['XX'] }) },
      'distributed  site/app.js: distributed to 1 edge in 84ms; no live edge in XX  event e-1',
    ],
    [
      { kind: 'rejected', message: { id: 'r', subject: 'content.uploaded', reason: 'no key', payload: '', by: 'origin', at: '' } },
      'rejected     content.uploaded, by the origin: no key',
    ],
    [{ kind: 'left', edge: { ...edge, draining: false } }, 'left         edge us-1 (US) has fallen silent: http://e'],
  ];
  test.each(events)('%j', (event, text) => {
    expect(eventLine(event, Date.UTC(2026, 0, 1, 12, 30, 1, 5), plain)).toBe(`12:30:01.005  ${text}`);
  });
});

describe('terminal', () => {
  test('off a terminal nothing is coloured; for programs stdout has documents only', () => {
    const io = new CapturedIo();
    const words = new Terminal(io, false);
    words.line(words.style('red', 'plain'));
    words.document({ never: 1 });
    words.warn('careful');
    const programs = new Terminal(io, true);
    programs.line('never');
    programs.note('never');
    programs.document({ a: 1 });
    programs.error('bad');
    expect(io.stdout.text).toBe('plain\n{"a":1}\n');
    expect(io.stderr.text).toBe('warning: careful\nerror: bad\n');
  });

  test('what a warning or an error quotes is not obeyed; their lines stay lines', () => {
    const io = new CapturedIo();
    const words = new Terminal(io, false);
    words.warn('a message cannot be read: \u001b[2J\r\u0000\nthe next line');
    words.error('\u009b31m');
    expect(io.stderr.text).toBe('warning: a message cannot be read: \\u001b[2J\\u000d\\u0000\nthe next line\nerror: \\u009b31m\n');
  });
});

describe('what to try when it is up', () => {
  const at = (name: string, port: number) => ({ name, url: `http://127.0.0.1:${port}` });
  const [origin, controller, edge] = [at('origin', 9000), at('controller', 9100), at('edge us-1', 8081)];
  const parts = { members: [origin, controller, edge], origin, controller, edges: new Map([['us-1', edge]]) };
  const stack = { natsUrl: 'nats://127.0.0.1:4222', dataDir: 'data', directory: undefined, ...parts };

  test.each([
    [false, 'curl -i http://127.0.0.1:8081/demo/hello.json'],
    [true, 'curl -i http://127.0.0.1:8081/readyz'],
  ])('works with an edge whether it has a sites file (%s) or not', (withSites, command) => {
    expect(stackSummary(stack, plain, { withSites, keysFile: undefined })).toContain(`  ${command}`);
  });

  test('begins with the key that an origin with keys asks for, and says where it is', () => {
    const tried = (keysFile: string | undefined) =>
      stackSummary(stack, plain, { withSites: false, keysFile }).filter((line) => /SLUICE_|sluice put/.test(line));
    const put = '  npx sluice put package.json demo/hello.json --wait';
    const key = '  export SLUICE_ACCESS_KEY_ID=… SLUICE_SECRET_ACCESS_KEY=…  # a key of keys.yaml that may write';
    expect([tried('keys.yaml'), tried(undefined)]).toEqual([[key, put], [put]]);
  });

  test('of a directory says where to put files and where they come out, and puts nothing', () => {
    const directory = { path: "/srv/o'r www", bucket: 'shop' };
    const lines = stackSummary({ ...stack, directory }, plain, { withSites: false, keysFile: 'keys.yaml' });
    expect(lines).toContain("files       /srv/o'r www");
    expect(lines.join('\n')).toContain("serves the file <path> of /srv/o'r www as /shop/<path>");
    expect(lines).toContain(`  cp package.json '/srv/o'\\''r www/hello.json'`);
    expect(lines).toContain('  curl -i http://127.0.0.1:8081/shop/hello.json');
    expect(lines.filter((line) => /sluice put|SLUICE_/.test(line))).toEqual([]);
  });
});
