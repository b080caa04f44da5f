import pg from 'pg';
import { v7 as uuidV7 } from 'uuid';
import { z } from 'zod';
import { hopSchema, messageStatusSchema } from '#contracts';
import { waitUntil } from '../../tools/stack/wait-until.js';

const rowSchema = z.object({
  id: z.uuid(),
  status: messageStatusSchema,
  provider: z.string().nullable(),
  text: z.instanceof(Buffer).transform((text) => text.toString('utf8')),
  reason: z.string().nullable(),
  deliver_by: z.date().nullable(),
  finished_at: z.date().nullable(),
  hops: z.array(hopSchema),
});
export type JournalRow = z.infer<typeof rowSchema>;

const countSchema = z.tuple([z.object({ count: z.int() })]);

/** Reads all messages from Postgres, without the gateway's help. */
export async function readJournal(url: string): Promise<JournalRow[]> {
  const columns = 'id, status, provider, text, reason, deliver_by, finished_at, hops';
  return z.array(rowSchema).parse(await query(url, `select ${columns} from messages`));
}

/** @param condition SQL */
export async function countMessages(url: string, condition: string): Promise<number> {
  return countSchema.parse(await query(url, `select count(*)::int from messages where ${condition}`))[0].count;
}

/** Resolves when no message waits or is in flight. */
export async function untilSettled(url: string, deadlineMs: number): Promise<void> {
  const isSettled = async (): Promise<boolean> => (await countMessages(url, `status in ('waiting', 'sending')`)) === 0;
  await waitUntil(isSettled, { what: 'no message waits or is in flight', deadlineMs, everyMs: 250 });
}

/** Copies one row of `messages` many times, each copy with an id of its own and the given columns changed. */
export async function cloneMessage(
  url: string,
  id: string,
  { count, ...changes }: { count: number; [column: string]: unknown },
): Promise<void> {
  const rows = await query(
    url,
    `select string_agg(quote_ident(column_name), ', ') as columns from information_schema.columns
     where table_name = 'messages' and is_generated = 'NEVER'`,
  );
  const [{ columns }] = z.tuple([z.object({ columns: z.string() })]).parse(rows);
  await query(
    url,
    `insert into messages (${columns}) select ${columns} from (
       select clone.* from messages original, unnest($2::uuid[]) as new(id),
         jsonb_populate_record(original, $3::jsonb || jsonb_build_object('id', new.id)) clone
       where original.id = $1) clones`,
    [id, Array.from({ length: count }, () => uuidV7()), changes],
  );
  await query(url, 'analyze messages');
}

async function query(url: string, statement: string, values: unknown[] = []): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(statement, values)).rows;
  } finally {
    await client.end();
  }
}
