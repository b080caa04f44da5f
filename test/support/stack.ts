import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ManagedProcess } from '../../tools/stack/managed-process.js';
import { type AppName, startStack as start } from '../../tools/stack/stack.js';
import { createDatabase } from '../../verification/engines/postgres-server.js';
import { RedisServer } from '../../verification/engines/redis-server.js';

export interface Stack {
  origin: { auth: string; free: string; paid: string; gateway: string };
  gateways: string[];
  /** Everything the apps logged, parsed. */
  log: { app: string; event: string; [field: string]: unknown }[];
  /** Process id of the Redis of this stack. */
  redisPid: number;
  process: (name: string) => ManagedProcess;
  /** Ends everything and starts it anew, with what was on disk. */
  restart: () => Promise<Stack>;
  stop: () => Promise<void>;
}

export interface StackOptions {
  apps?: AppName[];
  pods?: number;
  env?: Record<string, string>;
  /** Whether it has a disk: embedded engines keep everything in memory otherwise. */
  hasDisk?: boolean;
}

/** The real apps as separate processes, on ports and engines of their own. */
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
      // Patient, so that a busy machine is not taken for a slow Redis; tests of impatience say so.
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

interface Engines {
  env: Record<string, string>;
  redisPid?: number | undefined;
  stop: () => Promise<void>;
}

/** On this machine's Redis and Postgres, if the tests are to use those. */
async function nativeEngines(env: Record<string, string>): Promise<Engines> {
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

function parse(app: string, line: string): Stack['log'][number] {
  try {
    return { app, ...(JSON.parse(line) as { event: string }) };
  } catch {
    return { app, event: line };
  }
}

/** Different for every test, so that suites may share engines. */
export function randomName(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`;
}
