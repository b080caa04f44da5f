import { z } from 'zod';

/** How a provider counts: it accepts `limit` requests, then refuses everybody for `blockMs`. */
export const countThenBlockSchema = z.strictObject({
  policy: z.literal('count-then-block'),
  limit: z.coerce.number().int('must be a whole number').min(1).max(1_000_000_000),
  blockMs: z.coerce
    .number()
    .int('must be a whole number')
    .min(1)
    .max(366 * 86_400_000),
  /** The block is counted from the moment the provider accepted the last of its `limit`. */
  startsAt: z.literal('last-accept').default('last-accept'),
});

export const quotaPolicySchema = z.discriminatedUnion('policy', [countThenBlockSchema]);
export type QuotaPolicy = z.infer<typeof quotaPolicySchema>;

/**
 * Milliseconds added to a provider's block so that its clock, running slower than Redis's, cannot make us early.
 * 2·10⁻⁴ is twice the 100 ppm that ordinary quartz oscillators stay within; 2 ms cover both sides' rounding.
 */
export function guardMs(blockMs: number): number {
  return Math.ceil(blockMs * 2e-4) + 2;
}
