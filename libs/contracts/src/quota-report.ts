import { z } from 'zod';

const count = z.int().nullable();

const standing = {
  limit: count,
  used: count,
  remaining: count,
  reopensAt: z.iso.datetime().nullable(),
};

const quotaSchema = z.object({
  name: z.string(),
  policy: z.string(),
  unit: z.string(),
  state: z.enum(['open', 'blocked', 'unlimited', 'unknown']),
  ...standing,
  source: z.enum(['counted', 'announced', 'recovered']).meta({
    description: '`announced`: the provider said so; `recovered`: rebuilt after Redis lost the count',
  }),
});

export const quotaReportSchema = z
  .object({
    currency: z.string(),
    providers: z.array(
      z.object({
        name: z.string(),
        account: z.string().meta({ description: 'whose quota it is: `provider/account`, or the name of the provider' }),
        priceMicros: z.int(),
        state: z.enum(['open', 'blocked', 'unlimited', 'paused', 'disabled', 'unknown']).meta({
          description:
            '`unlimited`: no quota; `paused`: the account failed or refused in a way that its quota does not explain; `disabled`: an admin drained or disabled it; `unknown`: Redis does not answer',
        }),
        ...standing,
        reason: z.string().nullable().meta({ description: 'why the account is paused or disabled' }),
        quotas: z.array(quotaSchema),
      }),
    ),
  })
  .meta({ id: 'QuotaReport' });
export type QuotaReport = z.infer<typeof quotaReportSchema>;
