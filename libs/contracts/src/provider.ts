import { z } from 'zod';
import { messageTextSchema } from './messages.js';

/** What a provider is sent: the whole contract somebody else's provider has to answer. */
export const providerRequestSchema = z.strictObject({ message: messageTextSchema }).meta({ id: 'ProviderRequest' });
export type ProviderRequest = z.infer<typeof providerRequestSchema>;

/** What a provider answers with status 200; fields beyond these are ignored. */
export const providerAnswerSchema = z
  .object({ ok: z.literal(true), response: z.string() })
  .meta({ id: 'ProviderAnswer' });
export type ProviderAnswer = z.infer<typeof providerAnswerSchema>;

const windowSchema = z.object({
  startedAt: z.iso.datetime().meta({ description: 'when its first request was accepted' }),
  blockedAt: z.iso.datetime().nullable(),
  reopensAt: z.iso.datetime().nullable(),
  accepted: z.int(),
  refused: z.int(),
});

/** The honest log of a reference provider, by its own count. */
export const providerStatsSchema = z
  .object({ accepted: z.int(), refused: z.int(), windows: z.array(windowSchema) })
  .meta({ id: 'ProviderStats' });
export type ProviderStats = z.infer<typeof providerStatsSchema>;

/** Of requests that came with an idempotency key: each one that was counted, oldest first. Repeats are not. */
export const acceptedRequestsSchema = z
  .object({ items: z.array(z.object({ key: z.string(), acceptedAt: z.iso.datetime() })) })
  .meta({ id: 'AcceptedRequests' });
export type AcceptedRequests = z.infer<typeof acceptedRequestsSchema>;
export type AcceptedRequest = AcceptedRequests['items'][number];

const rate = z.number().min(0).max(1).default(0);

/** Trouble on demand. Rates are probabilities per request; `times` bounds how many requests they may hit. */
export const faultsSchema = z
  .strictObject({
    latencyMs: z.int().min(0).max(60_000).default(0).meta({ description: 'added before every answer' }),
    errorRate: rate.meta({ description: 'answer 500 instead of accepting; not counted' }),
    dropRate: rate.meta({ description: 'close the connection instead of accepting; not counted' }),
    loseReplyRate: rate.meta({ description: 'accept and count, then close the connection without an answer' }),
    nonsenseRate: rate.meta({ description: 'accept and count, then answer 200 with a body that is not the contract' }),
    times: z.int().min(1).nullable().default(null).meta({ description: 'null: until changed' }),
  })
  .meta({ id: 'Faults' });
export type Faults = z.infer<typeof faultsSchema>;
