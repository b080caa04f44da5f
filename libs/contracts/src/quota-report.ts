import { z } from 'zod';

export const quotaReportSchema = z
  .object({
    currency: z.string(),
    providers: z.array(
      z.object({
        name: z.string(),
        priceMicros: z.int(),
        state: z.enum(['open', 'blocked', 'unlimited', 'unknown']).meta({
          description: '`unlimited`: the provider has no quota; `unknown`: Redis does not answer',
        }),
        limit: z.int().nullable(),
        used: z.int().nullable(),
        remaining: z.int().nullable(),
        reopensAt: z.iso.datetime().nullable(),
      }),
    ),
  })
  .meta({ id: 'QuotaReport' });
export type QuotaReport = z.infer<typeof quotaReportSchema>;
