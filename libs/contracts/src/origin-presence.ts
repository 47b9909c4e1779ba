/** What origins of one shared catalog tell each other. */
import { z } from 'zod';

/** One NATS token that names an origin for as long as its process lives. */
export const originId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-"');

/** `origin.<id>.heartbeat` — I am here. */
export const originReport = z.object({ id: originId, leaving: z.boolean().default(false) });
export type OriginReport = z.output<typeof originReport>;
