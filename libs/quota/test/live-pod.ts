import { once } from 'node:events';
import { openQuotaRedis, type Permit, Quota, type QuotaEvent, type QuotaOptions } from '../src/index.js';
import type { RedisConnection } from '#redis';

export const LIMIT = 10;
export const TIMEOUT_MS = 200;
/** As in quota.ts. */
export const PERMIT_MS = 500;

export interface LivePodOptions extends Partial<Pick<QuotaOptions, 'whenForgotten' | 'budgetMs'>> {
  url: string;
  providers: string[];
  /** Long by default: no block ends within the test. */
  blockMs?: number;
}

/** A pod as in an application: its own connection, its own quota, and all events. */
export class LivePod {
  readonly events: QuotaEvent[] = [];
  /** Errors of the connection. */
  readonly errors: Error[] = [];
  readonly redis: RedisConnection;
  readonly quota: Quota;

  constructor({ url, providers, blockMs = 600_000, ...options }: LivePodOptions) {
    this.redis = openQuotaRedis(url);
    this.redis.on('error', (error: Error) => this.errors.push(error));
    const policy = { policy: 'count-then-block', limit: LIMIT, blockMs } as const;
    this.quota = new Quota({
      redis: this.redis,
      providers: providers.map((name) => ({ name, policy, timeoutMs: TIMEOUT_MS })),
      whenForgotten: 'fresh',
      // Long: a busy machine must not look like a slow Redis.
      budgetMs: 10_000,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  static async connect(options: LivePodOptions): Promise<LivePod> {
    const pod = new LivePod(options);
    if (pod.redis.status !== 'ready') await once(pod.redis, 'ready');
    return pod;
  }

  async take(provider: string): Promise<Permit | undefined> {
    const reservation = await this.quota.reserve(provider);
    return reservation.granted ? reservation.permit : undefined;
  }

  /** Takes up to `most` permits and settles them as accepted; returns how many. */
  async spend(provider: string, most = Infinity): Promise<number> {
    let spent = 0;
    while (spent < most) {
      const permit = await this.take(provider);
      if (permit === undefined) break;
      this.quota.settle(permit, { outcome: 'accepted' });
      spent += 1;
    }
    return spent;
  }

  async used(provider: string): Promise<number | undefined> {
    return (await this.quota.state(provider))?.used;
  }

  eventsNamed(...names: QuotaEvent['event'][]): QuotaEvent['event'][] {
    return this.events.map(({ event }) => event).filter((event) => names.includes(event));
  }

  async close(): Promise<void> {
    await this.quota.close();
    this.redis.disconnect();
  }
}
