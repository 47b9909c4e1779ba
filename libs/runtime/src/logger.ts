import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** Fields whose values nobody may see. `input`: what a URL that cannot be read was, in Node's error. */
const SECRET_FIELDS = [
  ...['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-amz-security-token'],
  ...['password', 'secret', 'secretAccessKey', 'sessionToken', 'token', 'input'],
];
/** Where they are looked for: in the line itself, in what it is about (`err`, `headers`), and in the fields of that. */
const DEPTHS = ['', '*', '*.*'];

function pathsOf(field: string): string[] {
  const name = /^\w+$/.test(field) ? field : `["${field}"]`;
  return DEPTHS.map((depth) => (depth === '' ? name : name.startsWith('[') ? depth + name : `${depth}.${name}`));
}

/** JSON lines on stdout: constant messages, data in fields. `app` names the process's role. `destination`: for tests. */
export function createLogger(
  app: string,
  level: string,
  bindings: Readonly<Record<string, string>> = {},
  destination?: DestinationStream,
): Logger {
  const options = {
    level,
    base: { app, ...bindings },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET_FIELDS.flatMap(pathsOf), censor: '[redacted]' },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
