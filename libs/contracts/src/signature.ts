import { z } from 'zod';

/**
 * The origin's signature of what it says; how it is made and checked is in `libs/signing`. Whoever passes a statement on passes it on with it, and need not know any key. Only its bounds are
 * looked at here: what it is worth is found out where it is verified.
 */
export const signature = z.object({
  /** Names the public key that it is verified with. */
  keyId: z.string().max(64),
  /** In base64. */
  value: z.string().max(512),
});
export type Signature = z.output<typeof signature>;
