import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ManagedProcess } from '../../stack/managed-process.js';
import { type Stack, startStack } from '../../stack/stack.js';
import { waitUntil } from '../../stack/wait-until.js';
import { putFaults } from '../faults.js';
import { RedisServer } from '../redis-server.js';
import { PostgresServer } from './postgres-server.js';
import type { Extent, Strike } from './plan.js';

/** So slow that whoever is killed has messages on their way. */
const LATENCY_MS = 80;
/** Some windows a minute of a size that leaves something to pay for. */
const QUOTA = { FREE_POLICY: 'count-then-block', FREE_LIMIT: '40', FREE_BLOCK_MS: '1000' };
const KEPT_LINES = 5_000;

/** The whole system as processes, with engines that can crash. */
export class Site {
  /** What the apps said of trouble. */
  readonly log: string[] = [];
  private readonly dir = mkdtempSync(join(tmpdir(), 'octo-prove-'));
  private readonly struck = new Map<string, number | undefined>();
  private redis: RedisServer | undefined;
  private postgres: PostgresServer | undefined;
  private stack: Stack | undefined;

  async start({ pods }: Extent): Promise<void> {
    this.redis = await RedisServer.start('keeping');
    this.postgres = await PostgresServer.start();
    this.stack = await startStack({
      env: {
        PATH: process.env['PATH'],
        NODE_ENV: 'test',
        JWT_PRIVATE_KEY_FILE: join(this.dir, 'jwt.pem'),
        REDIS_URL: this.redis.url,
        DATABASE_URL: this.postgres.url,
        ...QUOTA,
      },
      pods,
      ports: { auth: 0, 'free-provider': 0, 'paid-provider': 0, gateway: 0 },
      onLine: (name, line) => this.note(name, line),
    });
    const { free, paid } = this.origins;
    await Promise.all([free, paid].map((origin) => putFaults(origin, { latencyMs: LATENCY_MS })));
  }

  get origins(): Stack['origins'] {
    if (this.stack === undefined) throw new Error('not started');
    return this.stack.origins;
  }

  get databaseUrl(): string {
    return this.postgres?.url ?? '';
  }

  /** @returns whether there was anything to strike at */
  async strike({ at, draw }: Strike): Promise<boolean> {
    if (at === 'pod') return this.killPod(draw);
    const engine = at === 'redis' ? this.redis : this.postgres;
    this.note(at, 'is crashed');
    await engine?.crash();
    await engine?.startAgain();
    return engine !== undefined;
  }

  async untilReady(deadlineMs: number): Promise<void> {
    const isReady = async (origin: string): Promise<boolean> =>
      fetch(`${origin}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    const areReady = async (): Promise<boolean> =>
      (await Promise.all(this.origins.gateways.map(isReady))).every((ready) => ready);
    await waitUntil(areReady, { what: 'every gateway is ready', deadlineMs, everyMs: 100 });
  }

  async stop(): Promise<void> {
    await this.stack?.stop();
    await Promise.all([this.redis?.stop(), this.postgres?.stop()]);
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** One that was killed is gone until it has another process id. */
  private killPod(draw: number): boolean {
    const pods = (this.stack?.processes ?? []).filter(({ name }) => name.startsWith('gateway'));
    const alive = pods.filter(({ name, pid }) => pid !== undefined && this.struck.get(name) !== pid);
    const victim: ManagedProcess | undefined = alive[Math.floor(draw * alive.length)];
    if (victim === undefined) return false;
    this.struck.set(victim.name, victim.pid);
    this.note(victim.name, `is killed, process ${victim.pid}`);
    victim.kill('SIGKILL');
    return true;
  }

  private note(name: string, line: string): void {
    if (!/"level":"(warn|error|fatal)"/.test(line) && line.startsWith('{')) return;
    this.log.push(`${new Date().toISOString()} ${name} ${line}`);
    if (this.log.length > KEPT_LINES) this.log.shift();
  }
}
