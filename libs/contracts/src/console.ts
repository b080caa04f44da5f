import { z } from 'zod';
import { quotaReportSchema } from './quota-report.js';

/** What one pod has done with messages since it started. */
export const podTotalsSchema = z
  .object({
    pod: z.string(),
    startedAt: z.iso.datetime(),
    delivered: z.record(z.string(), z.int()).meta({ description: 'messages delivered, by provider' }),
    waiting: z.int().meta({ description: 'messages accepted with 202' }),
    refused: z.int().meta({ description: 'messages answered 402, 403, 429 or 503: Octo did not deliver them' }),
    failed: z.int().meta({ description: 'messages answered 422, 502 or 504: the providers did not deliver them' }),
  })
  .meta({ id: 'PodTotals' });
export type PodTotals = z.infer<typeof podTotalsSchema>;

/** One event of `GET /console/events`. */
export const consoleEventSchema = z
  .object({
    at: z.iso.datetime(),
    pod: z.string().meta({ description: 'sends this event; pauses of accounts are those that this pod knows' }),
    quota: quotaReportSchema,
    pods: z.array(podTotalsSchema).meta({ description: 'one entry per pod; the sum is what all pods did' }),
    missing: z
      .array(z.object({ name: z.string(), reason: z.string() }))
      .meta({ description: 'what this pod lacks, as `GET /health/ready` names it' }),
  })
  .meta({ id: 'ConsoleEvent' });
export type ConsoleEvent = z.infer<typeof consoleEventSchema>;

export const channelListSchema = z
  .object({
    items: z.array(
      z.object({
        name: z.string(),
        isDefault: z.boolean().meta({ description: 'a message that names no channel goes here' }),
        providers: z.array(z.string()).meta({ description: 'in the order they are tried' }),
        message: z
          .record(z.string(), z.unknown())
          .nullable()
          .meta({ description: 'JSON Schema of a message; null: a message is text' }),
      }),
    ),
  })
  .meta({ id: 'ChannelList' });
export type ChannelList = z.infer<typeof channelListSchema>;
