// `npm run ledger -- check`: compares the ledger with the journal, the budgets in Redis and the providers.
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openDatabase } from '#database';
import { connectRedis } from '#redis';
import { checkLedger, type StatsOf } from './ledger/check-ledger.js';
import { engineUrl } from './stack/engine-urls.js';

const USAGE = `npm run ledger -- check [--stats NAME=URL]...
  Compares the ledger with the journal and with the budgets in Redis, and names each difference.
  --stats compares with the messages that a provider accepted, such as paid=http://127.0.0.1:4002/stats.
  Reads DATABASE_URL and REDIS_URL, or the engines of a running \`npm start\`. Run it while nothing is sent.`;

if (existsSync('.env')) process.loadEnvFile('.env');
process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const asked = read(args);
  if (asked === undefined) return refuse(USAGE);
  const databaseUrl = engineUrl('DATABASE_URL', process.env);
  const redisUrl = engineUrl('REDIS_URL', process.env);
  if (databaseUrl === undefined || redisUrl === undefined) {
    return refuse('DATABASE_URL or REDIS_URL is missing: set both, or run `npm start` first.');
  }
  const db = openDatabase(databaseUrl, { connections: 1 });
  const redis = connectRedis(redisUrl, { maxRetriesPerRequest: 1 });
  redis.on('error', () => {});
  try {
    const { entries, totalMicros, differences } = await checkLedger({ db, redis }, asked.stats);
    for (const difference of differences) console.log(difference);
    console.log(`${entries} entries, ${totalMicros} micros; ${differences.length} differences`);
    return differences.length === 0 ? 0 : 1;
  } catch (error) {
    return refuse(`The ledger cannot be checked: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    redis.disconnect();
    await db.$client.end();
  }
}

function read(args: string[]): { stats: StatsOf[] } | undefined {
  try {
    const options = { stats: { type: 'string', multiple: true, default: [] as string[] } } as const;
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
    const stats = values.stats.map((text) => {
      const [provider = '', ...url] = text.split('=');
      return { provider, url: url.join('=') };
    });
    const areValid = stats.every(({ provider, url }) => provider !== '' && /^https?:/.test(url));
    return areValid && positionals.length === 1 && positionals[0] === 'check' ? { stats } : undefined;
  } catch {
    return undefined;
  }
}

function refuse(why: string): number {
  console.error(why);
  return 1;
}
