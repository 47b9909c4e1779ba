import { closeSync, openSync } from 'node:fs';
import { z } from 'zod';

/** Problems that are told at once: whoever has mended these looks again. A file that is of another kind has one in each word. */
export const PROBLEMS_TOLD_MAX = 50;
/** Of one problem, which may quote what stands there. */
export const PROBLEM_MAX_CHARACTERS = 500;

/** The environment, or what `subject` names, does not describe a working app. `problems` has one line for each thing to mend. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[], subject = 'the configuration') {
    const told = problems.slice(0, PROBLEMS_TOLD_MAX).map((problem) => problem.slice(0, PROBLEM_MAX_CHARACTERS).toWellFormed());
    if (told.length < problems.length) told.push(`and ${problems.length - told.length} more`);
    super(
      `${subject} has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${told.map((p) => `  ${p}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.problems = told;
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
    exitWhenMisconfigured(error);
    throw error;
  }
}

/** Ends the process with 2 and what is wrong with its configuration, when that is why it cannot start; else returns. */
export function exitWhenMisconfigured(error: unknown): void {
  if (!(error instanceof ConfigError)) return;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
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

/** The path of a file that is there and can be read. */
export const fileVariable = z.string().superRefine((path, context) => {
  try {
    closeSync(openSync(path, 'r'));
  } catch (error) {
    context.addIssue({ code: 'custom', message: `${path} cannot be read: ${(error as Error).message}` });
  }
});

/** Whether whoever reaches an app may use its administrative interface. */
export const adminOpenVariable = z.enum(['no', 'yes'], 'must be no or yes').default('no');

type AdminConfig<App extends string> = { readonly [Name in `${App}_ADMIN_TOKEN_FILE`]?: string | undefined } & {
  readonly [Name in `${App}_ADMIN_OPEN`]: 'no' | 'yes';
};

/** What the two variables of an app's administrative interface cannot see of each other. */
export function checkAdminAccess<App extends 'ORIGIN' | 'CONTROLLER' | 'EDGE'>(app: App) {
  return (config: AdminConfig<App>, context: z.core.$RefinementCtx): void => {
    if (config[`${app}_ADMIN_TOKEN_FILE`] === undefined || config[`${app}_ADMIN_OPEN`] === 'no') return;
    const message = `contradicts ${app}_ADMIN_TOKEN_FILE: with tokens nobody is answered without one`;
    context.addIssue({ code: 'custom', path: [`${app}_ADMIN_OPEN`], message });
  };
}

/** How a client shows the broker who it is, and knows that it is the broker; see docs/security.md. */
const brokerAccessVariables = {
  /** The seed of an nkey. */
  NATS_NKEY_FILE: fileVariable.optional(),
  /** With a password, instead of an nkey. */
  NATS_USER: z.string().optional(),
  NATS_PASSWORD_FILE: fileVariable.optional(),
  /** PEM: the authority of the broker's certificate. With it nothing goes without TLS. */
  NATS_CA_FILE: fileVariable.optional(),
};
const brokerAccessSchema = z.object(brokerAccessVariables);
type BrokerAccessConfig = Readonly<z.output<typeof brokerAccessSchema>>;

/** What every app reads beside its own variables. */
export const commonVariables = {
  NATS_URL: natsUrlVariable.default(['nats://127.0.0.1:4222']),
  ...brokerAccessVariables,
  /** Least replicas of each stream. With 3, on a cluster of three servers, any one of them may fail. */
  NATS_STREAM_REPLICAS: integerVariable(1, 5).default(1),
  LOG_LEVEL: logLevelVariable.default('info'),
};

/** What the variables of one schema cannot see. */
export function checkBrokerAccess(config: BrokerAccessConfig, context: z.core.$RefinementCtx): void {
  const { NATS_NKEY_FILE: nkeyFile, NATS_USER: user, NATS_PASSWORD_FILE: passwordFile } = config;
  const refuse = (name: string, message: string): void => context.addIssue({ code: 'custom', path: [name], message });
  if (user !== undefined && passwordFile === undefined) refuse('NATS_PASSWORD_FILE', 'must name the file with the password of NATS_USER');
  if (user === undefined && passwordFile !== undefined) refuse('NATS_USER', 'must be the user whose password is in NATS_PASSWORD_FILE');
  if (nkeyFile !== undefined && user !== undefined)
    refuse('NATS_USER', 'contradicts NATS_NKEY_FILE: a part is one user, with a key or with a password');
}

/** The access to the broker that the variables describe, as `Bus.connect` takes it. */
export function brokerAccess(config: BrokerAccessConfig) {
  return {
    nkeyFile: config.NATS_NKEY_FILE,
    user: config.NATS_USER,
    passwordFile: config.NATS_PASSWORD_FILE,
    caFile: config.NATS_CA_FILE,
  };
}
