import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ManagedProcess } from '../../tools/stack/managed-process.js';
import { type AppName, startStack as start } from '../../tools/stack/stack.js';
import { createDatabase } from '../../verification/engines/postgres-server.js';
import { RedisServer } from '../../verification/engines/redis-server.js';

/** A running stack of `tools/stack/stack.ts`, on test engines, with its log and origins at hand. */
export interface Stack {
  origin: { auth: string; free: string; paid: string; gateway: string };
  gateways: string[];
  /** All log lines of the apps, parsed. */
  log: { app: string; event: string; [field: string]: unknown }[];
  /** Process id and URL of this stack's Redis. */
  redisPid: number;
  redisUrl: string;
  process: (name: string) => ManagedProcess;
  /** Stops everything and starts it again with the data on disk. */
  restart: () => Promise<Stack>;
  stop: () => Promise<void>;
}

export interface StackOptions {
  apps?: AppName[];
  pods?: number;
  env?: Record<string, string>;
  /** Whether embedded Postgres keeps its data on disk; otherwise a restart loses it. */
  hasDisk?: boolean;
}

/** Starts the real apps as separate processes, on free ports and separate engines. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const dir = mkdtempSync(join(tmpdir(), 'octo-stack-'));
  return startOn(dir, await nativeEngines(options.env ?? {}), options);
}

async function startOn(dir: string, engines: Engines, options: StackOptions): Promise<Stack> {
  const { apps, pods = 1, env = {}, hasDisk = false } = options;
  const log: Stack['log'] = [];
  const stack = await start({
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'test',
      // Long: a busy machine must not look like a slow Redis. Tests of the time limit set their own.
      QUOTA_BUDGET_MS: '5000',
      JWT_PRIVATE_KEY_FILE: join(dir, 'jwt.pem'),
      ...engines.env,
      ...env,
    },
    pods,
    ports: { auth: 0, 'free-provider': 0, 'paid-provider': 0, gateway: 0 },
    ...(apps && { apps }),
    dataDir: hasDisk ? dir : undefined,
    onLine: (name, line) => log.push(parse(name, line)),
  });
  const { auth, free, paid, gateways } = stack.origins;
  return {
    origin: { auth, free, paid, gateway: gateways[0] ?? '' },
    gateways,
    log,
    redisPid: engines.redisPid ?? stack.processes.find(({ name }) => name === 'redis')?.pid ?? 0,
    redisUrl: stack.redisUrl,
    process: (name) => {
      const found = stack.processes.find((candidate) => candidate.name === name);
      if (found === undefined) throw new Error(`no process "${name}"`);
      return found;
    },
    restart: async () => {
      await stack.stop();
      return startOn(dir, engines, options);
    },
    stop: async () => {
      await stack.stop();
      await engines.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export interface Engines {
  env: Record<string, string>;
  redisPid?: number | undefined;
  stop: () => Promise<void>;
}

/** With `TEST_ENGINES=native`: this machine's Redis and Postgres. */
export async function nativeEngines(env: Record<string, string>): Promise<Engines> {
  const adminUrl = process.env['TEST_POSTGRES_URL'];
  if (adminUrl === undefined) return { env: {}, stop: () => Promise.resolve() };
  const redis = env['REDIS_URL'] === undefined ? await RedisServer.start() : undefined;
  const DATABASE_URL = env['DATABASE_URL'] ?? (await createDatabase(adminUrl));
  return {
    env: { DATABASE_URL, ...(redis && { REDIS_URL: redis.url, QUOTA_WHEN_FORGOTTEN: 'fresh' }) },
    redisPid: redis?.pid,
    stop: async () => redis?.remove(),
  };
}

export function parse(app: string, line: string): Stack['log'][number] {
  try {
    return { app, ...(JSON.parse(line) as { event: string }) };
  } catch {
    return { app, event: line };
  }
}

/** A unique name, so that suites can share engines. */
export function randomName(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`;
}
