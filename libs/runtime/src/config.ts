import { z } from 'zod';

/** The environment, or what `subject` names, does not describe a working app. `problems` has one line for each thing to mend. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[], subject = 'the configuration') {
    super(
      `${subject} has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${problems.map((p) => `  ${p}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** A place in a configuration file, `sites[0].name`; '' for the whole of it. */
export function placeOf(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}

/**
 * Reads an app's variables out of an environment. Only the schema's names are read; a variable that begins with one of
 * `ownPrefixes` and is not among them is reported as a probable typing error.
 * @throws {ConfigError} with every problem at once
 */
export function readConfig<Shape extends z.core.$ZodLooseShape>(
  schema: z.ZodObject<Shape>,
  environment: Readonly<Record<string, string | undefined>>,
  ownPrefixes: readonly string[],
): Readonly<z.output<z.ZodObject<Shape>>> {
  const names = Object.keys(schema.shape);
  const given = Object.fromEntries(
    names.flatMap((name) => (environment[name] === undefined || environment[name] === '' ? [] : [[name, environment[name]]])),
  );
  const problems = Object.keys(environment)
    .filter((name) => ownPrefixes.some((prefix) => name.startsWith(prefix)) && !names.includes(name))
    .map((name) => `${name}: no such variable; known are ${names.join(', ')}`);
  const result = schema.safeParse(given);
  if (!result.success) problems.unshift(...result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`));
  if (problems.length > 0 || !result.success) throw new ConfigError(problems);
  return Object.freeze(result.data);
}

/** {@link readConfig} for a `main.ts`: prints every problem to stderr and exits 2. */
export function readConfigOrExit<Shape extends z.core.$ZodLooseShape>(schema: z.ZodObject<Shape>, ownPrefixes: readonly string[]) {
  try {
    return readConfig(schema, process.env, ownPrefixes);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}

/** A TCP port; 0 lets the system choose. */
export const portVariable = z
  .string()
  .regex(/^\d{1,5}$/, 'must be a port number from 0 to 65535')
  .transform(Number)
  .refine((port) => port <= 65535, 'must be a port number from 0 to 65535');

/** A whole number with its bounds. */
export function integerVariable(minimum: number, maximum: number) {
  return z
    .string()
    .regex(/^\d{1,16}$/, `must be a whole number from ${minimum} to ${maximum}`)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, `must be a whole number from ${minimum} to ${maximum}`);
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 1024,
  mi: 1024 ** 2,
  gi: 1024 ** 3,
  ti: 1024 ** 4,
};
/** A number of bytes: `1073741824`, `500MB`, `10GiB`. */
export const bytesVariable = z.string().transform((text, context) => {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?$/i.exec(text.trim());
  const unit = match?.[2] === undefined ? undefined : UNITS[match[2].toLowerCase()];
  const bytes = match?.[1] === undefined || unit === undefined ? Number.NaN : Math.floor(Number(match[1]) * unit);
  if (!Number.isSafeInteger(bytes)) {
    context.addIssue({ code: 'custom', message: 'must be a number of bytes such as 1073741824, 500MB or 10GiB' });
    return z.NEVER;
  }
  return bytes;
});

/** `nats://a:4222,nats://b:4222` */
export const natsUrlVariable = z
  .string()
  .transform((text) => text.split(',').map((server) => server.trim()))
  .refine(
    (servers) => servers.every((server) => /^((nats|tls):\/\/)?[^\s/]+$/.test(server)),
    'must be one or more nats://host:port, separated by commas',
  );

/** A pino level. */
export const logLevelVariable = z.enum(
  ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
  'must be trace, debug, info, warn, error, fatal or silent',
);

/** What every app reads beside its own variables. */
export const commonVariables = {
  NATS_URL: natsUrlVariable.default(['nats://127.0.0.1:4222']),
  /** Least replicas of each stream. With 3, on a cluster of three servers, any one of them may fail. */
  NATS_STREAM_REPLICAS: integerVariable(1, 5).default(1),
  LOG_LEVEL: logLevelVariable.default('info'),
};
