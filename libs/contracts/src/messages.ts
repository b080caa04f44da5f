import { z } from 'zod';

/** Longest message, in bytes of UTF-8. */
export const MESSAGE_MAX_BYTES = 65_536;
/** Longest body with such a message: JSON may escape each byte as six (`\u000a`), and there are other fields. */
export const MESSAGE_BODY_MAX_BYTES = 6 * MESSAGE_MAX_BYTES + 16_384;

export const messageTextSchema = z
  .string('must be a string')
  .min(1, 'must not be empty')
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .refine((text) => text.length <= MESSAGE_MAX_BYTES && Buffer.byteLength(text) <= MESSAGE_MAX_BYTES, {
    error: `must have at most ${MESSAGE_MAX_BYTES} bytes of UTF-8`,
    params: { problem: 'message_too_large' },
  })
  .meta({ description: `1 to ${MESSAGE_MAX_BYTES} bytes of UTF-8`, example: 'hello' });

/**
 * How far ahead a deadline may be. The schema accepts a deadline in the past: a repeat of a request with an idempotency
 * key may arrive after it.
 */
export const DELIVER_BY_MAX_MS = 7 * 86_400_000;

const deliverBySchema = z.iso
  .datetime({ offset: true, error: 'must be a time such as 2026-11-20T12:00:00Z (RFC 3339)' })
  .transform((text) => new Date(text))
  .refine((time) => time.getTime() <= Date.now() + DELIVER_BY_MAX_MS, 'must be at most 7 days ahead');

/** First things first. */
export const PRIORITIES = ['urgent', 'normal', 'bulk'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** What is wrong with every callback URL of this kind; the gateway's settings may refuse more. */
const callbackUrlSchema = z
  .string('must be a string')
  .regex(/^[\x21-\x7e]*$/, 'must be an absolute URL of visible ASCII characters (RFC 3986)')
  .max(2_048, 'must have at most 2048 characters')
  .refine((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol), 'must be an absolute https:// URL');

/** Text, or what the schema of the channel says; the gateway checks it against the channel. */
export const contentSchema = z
  .unknown()
  .refine((content) => content !== undefined, 'is required')
  .meta({ description: 'what the channel accepts: text, unless the channel has a schema', example: 'hello' });

export const sendMessageSchema = z
  .strictObject({
    message: contentSchema,
    channel: z
      .string()
      .optional()
      .meta({ description: 'may be left out when there is one channel, or one named `default`' }),
    deliverBy: deliverBySchema
      .optional()
      .meta({ description: 'RFC 3339, at most 7 days ahead; the message may wait for free quota until then' }),
    paid: z
      .enum(['allowed', 'never'])
      .default('allowed')
      .meta({ description: '`never`: do not use a provider that costs money' }),
    priority: z
      .enum(PRIORITIES)
      .default('normal')
      .meta({ description: 'which of the messages that wait go first; one that does not wait needs none' }),
    callbackUrl: callbackUrlSchema.optional().meta({
      description:
        'https:// URL that receives a signed webhook (Standard Webhooks) when the message is finished; see `webhooks`',
    }),
  })
  .meta({ id: 'SendMessage', example: { message: 'hello' } });
export type SendMessage = z.infer<typeof sendMessageSchema>;

export const idempotencyKeySchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'Idempotency-Key must be 1 to 255 visible ASCII characters');

const ATTEMPT_OUTCOMES = ['delivered', 'refused', 'rejected', 'failed', 'unknown'] as const;

export const attemptSchema = z
  .object({
    provider: z.string(),
    account: z
      .string()
      .optional()
      .meta({ description: 'whose quota was used; left out by releases before this field' }),
    outcome: z.enum(ATTEMPT_OUTCOMES).meta({
      description:
        '`refused`: the provider is out of quota; `rejected`: it says that the message is wrong; `failed`: it answered with an error or could not be reached; `unknown`: it did not answer',
    }),
    httpStatus: z.int().nullable(),
    startedAt: z.iso.datetime(),
    durationMs: z.number(),
    reason: z.string().optional().meta({ description: 'why the attempt failed, for example `connection refused`' }),
  })
  .meta({ id: 'Attempt' });
export type Attempt = z.infer<typeof attemptSchema>;

export const deliveredMessageSchema = z
  .object({
    id: z.uuid(),
    status: z.literal('delivered'),
    channel: z.string(),
    provider: z.string(),
    account: z.string(),
    response: z.unknown().meta({ description: 'text or JSON' }),
    costMicros: z.int().meta({ description: '1 unit of the currency = 1 000 000' }),
    currency: z.string(),
    createdAt: z.iso.datetime(),
    deliveredAt: z.iso.datetime(),
    attempts: z.array(attemptSchema),
  })
  .meta({ id: 'DeliveredMessage' });
export type DeliveredMessage = z.infer<typeof deliveredMessageSchema>;

/** Accepted and on disk; the gateway delivers it later, by the cheapest way that its deadline allows. */
export const waitingMessageSchema = z
  .object({
    id: z.uuid(),
    status: z.literal('waiting'),
    expectedAt: z.iso.datetime().meta({ description: 'an estimate' }),
    deliverBy: z.iso.datetime(),
  })
  .meta({ id: 'WaitingMessage' });
export type WaitingMessage = z.infer<typeof waitingMessageSchema>;

export const messageStatusSchema = z
  .enum(['waiting', 'sending', 'delivered', 'failed', 'expired', 'cancelled', 'unknown'])
  .meta({
    description:
      '`sending`: a pod is sending it; `expired`: its deadline passed; `unknown`: it was sent, and whether it was delivered cannot be found out',
  });
export type MessageStatus = z.infer<typeof messageStatusSchema>;

/** One step in the life of a message. */
export const hopSchema = z
  .object({
    at: z.iso.datetime(),
    pod: z.string(),
    step: z.enum([
      'accepted',
      'no_permit',
      'sending',
      'answered',
      'waiting',
      'taken_over',
      'delivered',
      'failed',
      'expired',
      'cancelled',
      'unknown',
    ]),
    provider: z.string().optional(),
    epoch: z.int().optional().meta({ description: 'epoch of the quota when it granted the permit' }),
    account: z.string().optional().meta({ description: 'left out where it is the provider' }),
    outcome: z.enum(ATTEMPT_OUTCOMES).optional(),
    sent: z
      .literal(false)
      .optional()
      .meta({ description: '`false`: the request provably never left the pod, so the provider cannot have it' }),
    httpStatus: z.int().nullable().optional(),
    costMicros: z.int().optional(),
    durationMs: z.number().optional(),
    used: z
      .record(z.string(), z.number())
      .optional()
      .meta({ description: 'what the request used of quotas that count amounts, by their names' }),
    waitMs: z.number().optional(),
    reason: z.string().optional(),
  })
  .meta({ id: 'Hop' });
export type Hop = z.infer<typeof hopSchema>;

export const messageRecordSchema = z
  .object({
    id: z.uuid(),
    status: messageStatusSchema,
    channel: z.string(),
    message: z
      .unknown()
      .meta({ description: 'text or JSON; null when the message is older than the retention of texts' }),
    mayPay: z.boolean(),
    priority: z.enum(PRIORITIES),
    provider: z.string().nullable(),
    account: z.string().nullable(),
    response: z.unknown().meta({ description: 'text or JSON; null while there is none' }),
    costMicros: z.int(),
    currency: z.string(),
    createdAt: z.iso.datetime(),
    deliverBy: z.iso.datetime().nullable(),
    expectedAt: z.iso
      .datetime()
      .nullable()
      .optional()
      .meta({ description: 'when a waiting message will be sent, an estimate; null for any other message' }),
    deliveredAt: z.iso.datetime().nullable(),
    finishedAt: z.iso.datetime().nullable(),
    reason: z.string().nullable().meta({ description: 'why it was not delivered: the code of a problem' }),
    detail: z.string().nullable(),
    requestId: z.string(),
    traceId: z.string(),
    idempotencyKey: z.string().nullable(),
    callbackUrl: z.string().nullable(),
    attempts: z.array(attemptSchema),
    hops: z.array(hopSchema.extend({ seq: z.int().meta({ description: '1, 2, 3 …' }) })).meta({
      description: 'everything that happened to the message, in order',
    }),
  })
  .meta({ id: 'MessageRecord' });
export type MessageRecord = z.infer<typeof messageRecordSchema>;

export const messageSummarySchema = messageRecordSchema
  .omit({ message: true, response: true, attempts: true, hops: true })
  .meta({ id: 'MessageSummary' });
export type MessageSummary = z.infer<typeof messageSummarySchema>;

export const messageListSchema = z
  .object({ items: z.array(messageSummarySchema), nextCursor: z.string().nullable() })
  .meta({ id: 'MessageList' });
export type MessageList = z.infer<typeof messageListSchema>;
