import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ProviderStats, providerStatsSchema } from '#contracts';
import { logIn } from '../../tools/stack/log-in.js';
import { hasNativePostgres } from '../engines/native-engines.js';
import { type Stack, startStack } from '../../tools/stack/stack.js';
import { PostgresServer } from '../engines/postgres-server.js';
import { hasNativeRedis, RedisServer } from '../engines/redis-server.js';

/** Of the log, the newest. */
const KEPT_LINES = 5_000;

/** The real apps as processes, on the engines of this machine if it has them, else on the embedded ones. */
export class System {
  /** What the apps said of trouble. */
  readonly log: string[] = [];
  private readonly dir = mkdtempSync(join(tmpdir(), 'octo-prove-'));
  private engines: { redis: RedisServer; postgres: PostgresServer } | undefined;
  private stack: Stack | undefined;

  /** @param env settings of all apps */
  async start({ pods, env }: { pods: number; env: NodeJS.ProcessEnv }): Promise<void> {
    if (hasEngines()) {
      const [redis, postgres] = await Promise.all([RedisServer.start('keeping'), PostgresServer.start()]);
      this.engines = { redis, postgres };
    }
    this.stack = await startStack({
      env: {
        PATH: process.env['PATH'],
        NODE_ENV: 'test',
        JWT_PRIVATE_KEY_FILE: join(this.dir, 'jwt.pem'),
        ...(this.engines && { REDIS_URL: this.engines.redis.url, DATABASE_URL: this.engines.postgres.url }),
        ...env,
      },
      pods,
      ports: { auth: 0, 'free-provider': 0, 'paid-provider': 0, gateway: 0 },
      onLine: (name, line) => this.note(name, line),
    });
  }

  get origins(): Stack['origins'] {
    return this.started.origins;
  }

  get processes(): Stack['processes'] {
    return this.started.processes;
  }

  get databaseUrl(): string {
    return this.started.databaseUrl;
  }

  /** One of this machine's, which can crash and come back with what it had written. */
  engine(name: 'redis' | 'postgres'): RedisServer | PostgresServer {
    if (this.engines === undefined) throw new Error('the embedded engines cannot come back');
    return this.engines[name];
  }

  /** @returns the cookies of somebody who may use paid providers */
  logIn(): Promise<string> {
    return logIn(this.origins.gateways[0] ?? '');
  }

  /** The provider's own count. */
  async statsOf(provider: 'free' | 'paid'): Promise<ProviderStats> {
    return providerStatsSchema.parse(await (await fetch(`${this.origins[provider]}/stats`)).json());
  }

  /** Of each gateway. */
  async metric(name: string): Promise<number[]> {
    return Promise.all(
      this.origins.gateways.map(async (origin) => {
        const text = await (await fetch(`${origin}/metrics`)).text();
        return Number(new RegExp(String.raw`^${name} (.*)$`, 'm').exec(text)?.[1] ?? 0);
      }),
    );
  }

  note(name: string, line: string): void {
    if (!/"level":"(warn|error|fatal)"/.test(line) && line.startsWith('{')) return;
    this.log.push(`${new Date().toISOString()} ${name} ${line}`);
    if (this.log.length > KEPT_LINES) this.log.shift();
  }

  async stop(): Promise<void> {
    await this.stack?.stop();
    await Promise.all([this.engines?.redis.stop(), this.engines?.postgres.stop()]);
    rmSync(this.dir, { recursive: true, force: true });
  }

  private get started(): Stack {
    if (this.stack === undefined) throw new Error('not started');
    return this.stack;
  }
}

/** Settings of a free provider that blocks once so many were accepted, and of the gateways that count it. */
export function freeQuota({ limit, blockMs }: { limit: number; blockMs: number }): NodeJS.ProcessEnv {
  return { FREE_POLICY: 'count-then-block', FREE_LIMIT: String(limit), FREE_BLOCK_MS: String(blockMs) };
}

/** Whether this machine has engines that can crash and come back. */
export function hasEngines(): boolean {
  return hasNativeRedis() && hasNativePostgres();
}
