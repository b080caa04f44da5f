import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where `npm start` records the engines that it uses: the embedded ones have other ports each time. */
const FILES = { DATABASE_URL: 'database-url', REDIS_URL: 'redis-url' } as const;
type EngineUrl = keyof typeof FILES;

export function recordEngineUrls(dataDir: string, urls: Record<EngineUrl, string>): void {
  for (const [name, file] of Object.entries(FILES))
    writeFileSync(join(dataDir, file), urls[name as EngineUrl], { mode: 0o600 });
}

/** From the environment, or as the last `npm start` recorded it. */
export function engineUrl(name: EngineUrl, env: NodeJS.ProcessEnv): string | undefined {
  const given = env[name];
  if (given !== undefined && given !== '') return given;
  const file = join(env['DATA_DIR'] ?? '.data', FILES[name]);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
