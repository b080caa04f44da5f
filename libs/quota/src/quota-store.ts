import { readFileSync } from 'node:fs';
import { Redis, type RedisOptions } from 'ioredis';
import { quotaKey } from './keys.js';
import { guardMs, type QuotaPolicy } from './policy.js';
import type { SettlementBatch } from './settlement-batch.js';

export const STEP_LUA = readFileSync(new URL('step.lua', import.meta.url), 'utf8');
const STATES = ['open', 'spent', 'blocked'] as const;
const EVENTS = [undefined, 'blocked', 'reopened', 'forgotten'] as const;

export type WhenForgotten = 'blocked' | 'fresh';

export interface StepRequest {
  provider: string;
  policy: QuotaPolicy;
  podId: string;
  /** Of this pod's steps for this provider; a step sent again keeps its number and is applied once. */
  seq: number;
  want: number;
  /** An unsettled permit counts as unknown this long after it was granted. */
  holdMs: number;
  whenForgotten: WhenForgotten;
  knownEpoch: number;
  settlements: SettlementBatch;
  /** Monotonic clock of this pod. */
  nowMs: number;
  /** For tests: replaces the clock of the Redis server. */
  serverClockMs?: number | undefined;
}

export interface StepReply {
  granted: number;
  epoch: number;
  generation: number;
  state: (typeof STATES)[number];
  waitMs: number;
  used: number;
  limit: number;
  event: (typeof EVENTS)[number];
}

type RedisWithStep = Redis & { quotaStep(key: string, ...args: (string | number)[]): Promise<number[]> };

/**
 * Options a Redis connection needs to carry permits: fail at once instead of queueing while disconnected, never resend
 * by itself (a step is repeated by its own number), and notice a dead peer.
 */
export const QUOTA_REDIS_OPTIONS = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  connectTimeout: 2_000,
  socketTimeout: 2_000,
  retryStrategy: (times: number) => Math.min(50 * times, 500),
} satisfies RedisOptions;

/** The quotas' place in Redis: one script, one hash per provider. */
export class QuotaStore {
  private readonly redis: RedisWithStep;
  private readonly connectedListeners: (() => void)[] = [];

  /** `lua` is for tests that break the script on purpose. */
  constructor(redis: Redis, lua = STEP_LUA) {
    // A name of its own: other scripts may be defined on a connection that is shared.
    redis.defineCommand('quotaStep', { numberOfKeys: 1, lua });
    this.redis = redis as RedisWithStep;
    // One for all providers: emitters take more than ten for a leak.
    redis.on('ready', () => {
      for (const listener of this.connectedListeners) listener();
    });
  }

  /** False while a step could only fail. */
  get isConnected(): boolean {
    return this.redis.status === 'ready';
  }

  onConnected(listener: () => void): void {
    this.connectedListeners.push(listener);
  }

  /** @throws when Redis cannot be reached or refuses; whether the step was applied is then unknown. */
  async step(request: StepRequest): Promise<StepReply> {
    const { policy } = request;
    const reply = await this.redis.quotaStep(
      quotaKey(request.provider),
      request.serverClockMs ?? '',
      request.podId,
      request.seq,
      request.want,
      policy.limit,
      policy.blockMs,
      guardMs(policy.blockMs),
      request.holdMs,
      request.whenForgotten,
      request.knownEpoch,
      ...request.settlements.toArguments(request.nowMs),
    );
    return toStepReply(reply);
  }

  /** Creates the hash of a provider that was never seen before; one that exists is left as it is. */
  async provision(provider: string): Promise<void> {
    await this.redis.hsetnx(quotaKey(provider), 'epoch', 1);
  }
}

function toStepReply(reply: number[]): StepReply {
  const [granted = 0, epoch = 0, generation = 0, state = 2, waitMs = 0, used = 0, limit = 0, event = 0] = reply;
  return { granted, epoch, generation, state: STATES[state] ?? 'blocked', waitMs, used, limit, event: EVENTS[event] };
}
