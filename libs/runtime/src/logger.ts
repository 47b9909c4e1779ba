import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** JSON lines on stdout: constant messages, data in fields. `app` names the process's role. */
export function createLogger(app: string, level: string, bindings: Readonly<Record<string, string>> = {}): Logger {
  return pino({
    level,
    base: { app, ...bindings },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: ['authorization', '*.authorization', 'headers.authorization', 'password', '*.password'], censor: '[redacted]' },
  });
}
