import { z } from 'zod';
import { wholeNumber } from '#service';

/** The account before the first one of a page. */
const positionSchema = z.tuple([z.iso.datetime(), z.uuid()]);

const cursorSchema = z.string().transform((cursor, context) => {
  const position = positionSchema.safeParse(decode(cursor));
  if (position.success) return { createdAt: new Date(position.data[0]), id: position.data[1] };
  context.addIssue({ code: 'custom', message: 'must be a nextCursor of an earlier answer' });
  return z.NEVER;
});

export const accountPageSchema = z.strictObject({
  limit: wholeNumber({ min: 1, max: 100 }).default(50),
  cursor: cursorSchema.optional(),
});
export type AccountPage = z.infer<typeof accountPageSchema>;

export function cursorAfter({ createdAt, id }: { createdAt: Date; id: string }): string {
  return Buffer.from(JSON.stringify([createdAt.toISOString(), id])).toString('base64url');
}

function decode(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
