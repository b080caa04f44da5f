import pg from 'pg';
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

/** What Postgres holds, asked without the gateway's help. */
export async function readJournal(url: string): Promise<JournalRow[]> {
  const columns = 'id, status, provider, text, reason, deliver_by, finished_at, hops';
  const { rows } = await query(url, `select ${columns} from messages`);
  return z.array(rowSchema).parse(rows);
}

/** Resolves when no message waits or is on its way. */
export async function untilOver(url: string, deadlineMs: number): Promise<void> {
  const isOver = async (): Promise<boolean> => (await countUnfinished(url)) === 0;
  await waitUntil(isOver, { what: 'no message waits', deadlineMs, everyMs: 250 });
}

/** How many messages are not over. */
async function countUnfinished(url: string): Promise<number> {
  const { rows } = await query(url, `select count(*)::int n from messages where status in ('waiting', 'sending')`);
  return z.tuple([z.object({ n: z.int() })]).parse(rows)[0].n;
}

async function query(url: string, statement: string): Promise<pg.QueryResult> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await client.query(statement);
  } finally {
    await client.end();
  }
}
