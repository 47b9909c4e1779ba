/** How edges make themselves known: `controller.register.<id>` and `edge.<id>.heartbeat`. */
import { z } from 'zod';
import { failure } from './errors.ts';
import { byteCount, edgeId, region, versionOrZero } from './values.ts';

/**
 * `edge.<id>.heartbeat`, also the body of `controller.register.<id>`. From an edge to every controller, every `heartbeatMs` of the
 * register reply. A controller that hears from an unknown edge takes it into its plans; one that hears `draining` drops it at once.
 */
export const edgeReport = z.object({
  id: edgeId,
  /** New at each start of the process; two instances under one id are a misconfiguration that the controller reports. */
  instance: z.string().regex(/^[A-Za-z0-9-]{1,64}$/),
  region,
  /** Where visitors reach it. */
  url: z.url({ protocol: /^https?$/, error: 'must be an absolute http or https URL' }).max(2048),
  /** Everything up to this version is known to the edge. */
  catalogVersion: versionOrZero,
  objects: z.int().nonnegative(),
  bytes: byteCount,
  capacityBytes: byteCount,
  draining: z.boolean(),
});
export type EdgeReport = z.output<typeof edgeReport>;

/** After `ok` the edge is in every plan. It catches up after that, so that nothing falls between. */
export const registerReply = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), heartbeatMs: z.int().positive(), leaseMs: z.int().positive() }),
  failure,
]);
export type RegisterReply = z.output<typeof registerReply>;
