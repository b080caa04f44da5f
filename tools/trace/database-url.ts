import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where `npm start` writes down which Postgres it uses: the embedded one has another port each time. */
export function databaseUrlFile(dataDir: string): string {
  return join(dataDir, 'database-url');
}

/** From the environment, or as the last `npm start` had it. */
export function databaseUrl(env: NodeJS.ProcessEnv): string | undefined {
  const given = env['DATABASE_URL'];
  if (given !== undefined && given !== '') return given;
  const file = databaseUrlFile(env['DATA_DIR'] ?? '.data');
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
