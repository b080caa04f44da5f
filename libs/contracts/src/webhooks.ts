import { z } from 'zod';
import { messageRecordSchema, type MessageStatus } from './messages.js';

/** States in which a message is finished: each is an event that a callback URL can receive. */
const FINISHED = {
  delivered: 'A provider accepted the message',
  failed: 'No provider delivered the message',
  expired: 'The deadline passed before the message could be delivered',
  cancelled: 'The caller cancelled the message',
  unknown: 'The message was sent, and whether it was delivered cannot be found out',
} as const satisfies Partial<Record<MessageStatus, string>>;

type FinishedStatus = keyof typeof FINISHED;

const dataOf = <Status extends FinishedStatus>(status: Status) =>
  messageRecordSchema
    .pick({ id: true, provider: true, costMicros: true, currency: true, reason: true, detail: true, createdAt: true })
    .extend({ status: z.literal(status), finishedAt: z.iso.datetime() });

const eventOf = <Status extends FinishedStatus>(status: Status) =>
  z
    .object({
      type: z.literal(`message.${status}`),
      timestamp: z.iso.datetime().meta({ description: 'when the message was finished' }),
      data: dataOf(status),
    })
    .meta({ id: `Message${status.charAt(0).toUpperCase()}${status.slice(1)}`, description: FINISHED[status] });

/** The bodies of webhooks. They name the message and its end; its text and response need an access token. */
export const messageEventSchema = z.discriminatedUnion('type', [
  eventOf('delivered'),
  eventOf('failed'),
  eventOf('expired'),
  eventOf('cancelled'),
  eventOf('unknown'),
]);
export type MessageEvent = z.infer<typeof messageEventSchema>;
