// `npm run trace -- ID`: prints what happened to a message, from the journal; with `--trace`, to all messages of a trace.
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { eq, type SQL, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { MessageRecord } from '#contracts';
import { messages, openDatabase, TRACE_ID } from '#database';
import { recordOf } from '../apps/gateway/src/messages/answers.js';
import { engineUrl } from './stack/engine-urls.js';
import { formatTimeline, formatTrace } from './trace/format-trace.js';

const USAGE = `npm run trace -- ID
  Prints every hop of a message.
npm run trace -- --trace TRACE_ID
  Prints the hops of all messages of a trace, of all accounts, in one timeline.
Reads the Postgres of DATABASE_URL, or of a running \`npm start\`.`;

interface Query {
  where: SQL;
  /** What the journal does not have, if there are no rows. */
  what: string;
  format: (records: MessageRecord[]) => string;
}

if (existsSync('.env')) process.loadEnvFile('.env');
process.exitCode = await main(queryOf(process.argv.slice(2)), engineUrl('DATABASE_URL', process.env));

function queryOf(args: string[]): Query | undefined {
  const { values, positionals } = parseArgs({
    args,
    options: { trace: { type: 'string' } },
    allowPositionals: true,
    strict: false,
  });
  const traceId = typeof values.trace === 'string' ? values.trace.toLowerCase() : undefined;
  if (traceId !== undefined && positionals.length === 0 && /^[0-9a-f]{32}$/.test(traceId)) {
    return { where: sql`${TRACE_ID} = ${traceId}`, what: `message of trace ${traceId}`, format: formatTimeline };
  }
  const [id] = positionals;
  if (values.trace !== undefined || id === undefined || !z.uuid().safeParse(id).success) return undefined;
  return {
    where: eq(messages.id, id),
    what: `message ${id}`,
    format: (records) => records.map(formatTrace).join('\n'),
  };
}

async function main(query: Query | undefined, url: string | undefined): Promise<number> {
  if (query === undefined) return refuse(USAGE);
  if (url === undefined) return refuse('No Postgres is known: set DATABASE_URL, or run `npm start` first.');
  const db = openDatabase(url, { connections: 1 });
  try {
    const rows = await db.select().from(messages).where(query.where).orderBy(messages.id);
    if (rows.length === 0) return refuse(`The journal has no ${query.what}.`);
    console.log(query.format(rows.map(recordOf)));
    return 0;
  } catch {
    return refuse('Postgres does not answer: check DATABASE_URL, or run `npm start` first.');
  } finally {
    await db.$client.end();
  }
}

function refuse(why: string): number {
  console.error(why);
  return 1;
}
