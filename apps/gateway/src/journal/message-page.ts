import { z } from 'zod';
import { idempotencyKeySchema, messageStatusSchema } from '#contracts';
import { wholeNumber } from '#service';
import { providerNameSchema } from '../providers/provider-schema.js';

/** A page begins after this message: its id, as 16 bytes in base64url. */
const cursorSchema = z
  .string()
  .regex(/^[\w-]{22}$/, 'must be a nextCursor of an earlier answer')
  .transform((cursor) => uuidOf(Buffer.from(cursor, 'base64url')));

/** W3C Trace Context, 3.2.2.3: lower case, and not only zeros. */
const traceIdSchema = z
  .string()
  .regex(/^(?!0{32})[0-9a-f]{32}$/, 'must be a W3C trace id: 32 lower-case hex digits, not all of them 0');

export const messagePageSchema = z.strictObject({
  status: messageStatusSchema.optional(),
  provider: providerNameSchema.optional(),
  channel: providerNameSchema.optional(),
  traceId: traceIdSchema.optional().meta({ description: 'messages of one trace (W3C Trace Context)' }),
  idempotencyKey: idempotencyKeySchema
    .optional()
    .meta({ description: 'the message that holds the key; a key is held for 24 hours' }),
  limit: wholeNumber({ min: 1, max: 100 }).default(50),
  cursor: cursorSchema.optional(),
});
export type MessagePage = z.infer<typeof messagePageSchema>;

export function cursorAfter(id: string): string {
  return Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url');
}

function uuidOf(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
