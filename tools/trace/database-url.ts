import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** File in which `npm start` leaves its Postgres URL: the embedded one gets another port at every start. */
export function databaseUrlFile(dataDir: string): string {
  return join(dataDir, 'database-url');
}

/** The URL of the environment, otherwise of the last `npm start`. */
export function databaseUrl(env: NodeJS.ProcessEnv): string | undefined {
  const given = env['DATABASE_URL'];
  if (given !== undefined && given !== '') return given;
  const file = databaseUrlFile(env['DATA_DIR'] ?? '.data');
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
