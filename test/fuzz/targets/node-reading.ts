/** Node's own HTTP parser, asked directly: a server and a connection for each input would be fifty times as slow. */
import { createRequire } from 'node:module';

interface HttpParser {
  initialize(type: number, resource: object): void;
  execute(bytes: Uint8Array): number | Error;
  close(): void;
  [callback: number]: unknown;
}
type Names = 'REQUEST' | 'kOnHeaders' | 'kOnHeadersComplete' | 'kOnBody' | 'kOnMessageComplete';
interface HttpCommon {
  readonly HTTPParser: (new () => HttpParser) & Readonly<Record<Names, number>>;
  /** In the order of the parser's numbers. */
  readonly methods: readonly string[];
}

/** Not among what Node documents; a version that has it no more fails at once, and in tests only. */
const { HTTPParser, methods } = createRequire(import.meta.url)('node:_http_common') as HttpCommon;

export interface NodeReading {
  readonly method: string;
  readonly url: string;
  /** Names in lower case. */
  readonly fields: Readonly<Record<string, string>>;
}

/** The request that Node reads out of exactly these bytes; undefined when it refuses them, or they are not one whole request. */
export function nodeReading(bytes: Uint8Array): NodeReading | undefined {
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {});
  let read: NodeReading | undefined;
  let whole = 0;
  // With more fields than a few they come in several calls.
  let early: string[] = [];
  let earlyUrl = '';
  parser[HTTPParser.kOnHeaders] = (fields: string[], url: string) => {
    early = [...early, ...fields];
    earlyUrl += url;
  };
  parser[HTTPParser.kOnHeadersComplete] = (_major: number, _minor: number, fields: string[] | undefined, method: number, url = '') => {
    const all = [...early, ...(fields ?? [])];
    const named = all.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), all[at + 1] as string] as const] : []));
    read = { method: methods[method] as string, url: earlyUrl + url, fields: Object.fromEntries(named) };
    return 0;
  };
  parser[HTTPParser.kOnBody] = () => {};
  parser[HTTPParser.kOnMessageComplete] = () => {
    whole += 1;
  };
  const end = parser.execute(bytes);
  parser.close();
  return end === bytes.byteLength && whole === 1 ? read : undefined;
}
