import { z } from 'zod';

const sums = {
  free: z.object({ count: z.int() }),
  paid: z.object({ count: z.int(), costMicros: z.int() }),
  savedMicros: z.int().meta({
    description:
      'what the free messages would have cost at the cheapest paid provider of their channel, by its price now',
  }),
};

export const usageSchema = z
  .object({
    ...sums,
    currency: z.string(),
    series: z
      .array(
        z.object({
          day: z.iso.date().optional(),
          provider: z.string().optional(),
          channel: z.string().optional(),
          ...sums,
        }),
      )
      .optional()
      .meta({ description: 'with `by`: the same figures for each day, provider or channel' }),
  })
  .meta({ id: 'Usage', description: 'Delivered messages and their cost' });
export type Usage = z.infer<typeof usageSchema>;
