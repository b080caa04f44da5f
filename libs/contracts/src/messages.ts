import { z } from 'zod';

/** Longest message, in bytes of UTF-8. */
export const MESSAGE_MAX_BYTES = 65_536;

export const messageTextSchema = z
  .string('must be a string')
  .min(1, 'must not be empty')
  .refine((text) => text.isWellFormed(), 'must not have half a surrogate pair: it is no Unicode')
  .refine((text) => text.length <= MESSAGE_MAX_BYTES && Buffer.byteLength(text) <= MESSAGE_MAX_BYTES, {
    error: `must have at most ${MESSAGE_MAX_BYTES} bytes of UTF-8`,
    params: { problem: 'message_too_large' },
  })
  .meta({ description: `1 to ${MESSAGE_MAX_BYTES} bytes of UTF-8`, example: 'hello' });

/** A field of the contract that this version does not serve yet: naming it is an error, never silently ignored. */
const notSupportedYet = (what: string) =>
  z
    .unknown()
    .refine((value) => value === undefined, { error: what, params: { problem: 'not_supported' } })
    .optional();

export const sendMessageSchema = z
  .strictObject({
    message: messageTextSchema,
    paid: z
      .enum(['allowed', 'never'])
      .default('allowed')
      .meta({ description: '`never` keeps this message off providers that cost money' }),
    deliverBy: notSupportedYet('waiting for free quota is not supported yet; leave deliverBy out').meta({
      description: 'not supported yet',
    }),
  })
  .meta({ id: 'SendMessage' });
export type SendMessage = z.infer<typeof sendMessageSchema>;

export const attemptSchema = z
  .object({
    provider: z.string(),
    outcome: z.enum(['delivered', 'refused', 'failed', 'unknown']).meta({
      description:
        '`refused`: the provider said 429; `failed`: it answered with an error or was not reached; `unknown`: it was sent and no answer came',
    }),
    httpStatus: z.int().nullable(),
    startedAt: z.iso.datetime(),
    durationMs: z.number(),
  })
  .meta({ id: 'Attempt' });
export type Attempt = z.infer<typeof attemptSchema>;

export const deliveredMessageSchema = z
  .object({
    id: z.uuid(),
    status: z.literal('delivered'),
    provider: z.string(),
    response: z.string(),
    costMicros: z.int().meta({ description: '1 unit of the currency = 1 000 000' }),
    currency: z.string(),
    createdAt: z.iso.datetime(),
    deliveredAt: z.iso.datetime(),
    attempts: z.array(attemptSchema),
  })
  .meta({ id: 'DeliveredMessage' });
export type DeliveredMessage = z.infer<typeof deliveredMessageSchema>;
