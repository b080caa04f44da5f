import { z } from 'zod';
import { messageTextSchema } from './messages.js';

/** The request to a provider: all that a provider has to accept. */
export const providerRequestSchema = z.strictObject({ message: messageTextSchema }).meta({ id: 'ProviderRequest' });
export type ProviderRequest = z.infer<typeof providerRequestSchema>;

/** The answer of a provider with status 200; other fields are ignored. */
export const providerAnswerSchema = z
  .object({ ok: z.literal(true), response: z.string() })
  .meta({ id: 'ProviderAnswer' });
export type ProviderAnswer = z.infer<typeof providerAnswerSchema>;

const windowSchema = z.object({
  startedAt: z.iso.datetime().meta({ description: 'when the first request was accepted' }),
  blockedAt: z.iso.datetime().nullable(),
  reopensAt: z.iso.datetime().nullable(),
  accepted: z.int(),
  refused: z.int(),
});

/** What a reference provider accepted and refused, by its own count. */
export const providerStatsSchema = z
  .object({ accepted: z.int(), refused: z.int(), windows: z.array(windowSchema) })
  .meta({ id: 'ProviderStats' });
export type ProviderStats = z.infer<typeof providerStatsSchema>;

/** Requests with an idempotency key that were counted, oldest first; repeats are not. */
export const acceptedRequestsSchema = z
  .object({ items: z.array(z.object({ key: z.string(), acceptedAt: z.iso.datetime() })) })
  .meta({ id: 'AcceptedRequests' });
export type AcceptedRequests = z.infer<typeof acceptedRequestsSchema>;
export type AcceptedRequest = AcceptedRequests['items'][number];

const rate = z.number().min(0).max(1).default(0);

/** Faults on demand. A rate is a probability per request; `times` limits how many requests a fault may hit. */
export const faultsSchema = z
  .strictObject({
    latencyMs: z.int().min(0).max(60_000).default(0).meta({ description: 'added before every answer' }),
    errorRate: rate.meta({ description: 'answer 500 instead of accepting; not counted' }),
    dropRate: rate.meta({ description: 'close the connection instead of accepting; not counted' }),
    loseReplyRate: rate.meta({ description: 'accept and count, then close the connection without an answer' }),
    nonsenseRate: rate.meta({ description: 'accept and count, then answer 200 with a body that breaks the contract' }),
    times: z.int().min(1).nullable().default(null).meta({ description: 'null: no limit' }),
  })
  .meta({ id: 'Faults' });
export type Faults = z.infer<typeof faultsSchema>;
