import { z } from 'zod';
import { messageStatusSchema } from '#contracts';
import { wholeNumber } from '#service';
import { providerNameSchema } from '../providers/provider-schema.js';

/** A page begins after this message: its id, as 16 bytes in base64url. */
const cursorSchema = z
  .string()
  .regex(/^[\w-]{22}$/, 'must be a nextCursor of an earlier answer')
  .transform((cursor) => uuidOf(Buffer.from(cursor, 'base64url')));

export const messagePageSchema = z.strictObject({
  status: messageStatusSchema.optional(),
  provider: providerNameSchema.optional(),
  channel: providerNameSchema.optional(),
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
