import { z } from 'zod';

/**
 * The base of every failure that Sluice names itself. `code` is stable and is what programs match on; `message` is for people and
 * says what to do; `retryable` tells a caller whether the same request may succeed later.
 */
export class SluiceError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  constructor(code: string, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SluiceError';
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** A message that does not fit its schema. `message` names every field that is wrong. */
export class InvalidMessageError extends SluiceError {
  constructor(subject: string, problems: string) {
    super('INVALID_MESSAGE', `${subject}: ${problems}`);
    this.name = 'InvalidMessageError';
  }
}

/** How a failure travels in a reply. */
export const wireError = z.object({ code: z.string().max(64), message: z.string().max(4096), retryable: z.boolean() });
export type WireError = z.output<typeof wireError>;

/** The failure branch of every reply. */
export const failure = z.object({ ok: z.literal(false), error: wireError });

/** A failure as it came over the wire. */
export function errorFromWire(error: WireError): SluiceError {
  return new SluiceError(error.code, error.message, { retryable: error.retryable });
}

/** Any thrown value as it goes over the wire: no stack, no path. Unknown failures may pass, so they are retryable. */
export function errorToWire(error: unknown): WireError {
  if (error instanceof SluiceError) return { code: error.code, message: error.message.slice(0, 4096), retryable: error.retryable };
  return { code: 'INTERNAL', message: 'the request failed inside; the log of the answering side says why', retryable: true };
}
