// `npm run trace -- ID`: prints what happened to a message, from the journal.
import { existsSync } from 'node:fs';
import { eq } from 'drizzle-orm';
import { z } from 'zod';
import { messages, openDatabase } from '#database';
import { recordOf } from '../apps/gateway/src/messages/answers.js';
import { engineUrl } from './stack/engine-urls.js';
import { formatTrace } from './trace/format-trace.js';

const USAGE = `npm run trace -- ID
  Prints every hop of a message. Reads the Postgres of DATABASE_URL, or of a running \`npm start\`.`;

if (existsSync('.env')) process.loadEnvFile('.env');
process.exitCode = await main(process.argv[2], engineUrl('DATABASE_URL', process.env));

async function main(id: string | undefined, url: string | undefined): Promise<number> {
  if (!z.uuid().safeParse(id).success || id === undefined) return refuse(USAGE);
  if (url === undefined) return refuse('No Postgres is known: set DATABASE_URL, or run `npm start` first.');
  const db = openDatabase(url, { connections: 1 });
  try {
    const [row] = await db.select().from(messages).where(eq(messages.id, id));
    if (row === undefined) return refuse(`The journal has no message ${id}.`);
    console.log(formatTrace(recordOf(row)));
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
