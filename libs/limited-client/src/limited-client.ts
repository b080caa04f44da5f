import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { z } from 'zod';
import {
  type AnnouncementReader,
  announcementReader,
  type LimitedPolicy,
  openQuotaRedis,
  type Permit,
  Quota,
  type QuotaEvent,
  type Reservation,
} from '#quota';
import type { RedisConnection } from '#redis';
import { logTransitions, type Readiness } from '#service';
import type { limitedClientSettings } from './limited-client.settings.js';

export interface LimitedClientOptions {
  /** Names the count in Redis: the same in every process that shares the limit. */
  name: string;
  /** How the service limits its callers. */
  policy: LimitedPolicy;
  /** Timeout of a request to the service, in milliseconds. */
  timeoutMs: number;
  settings: z.infer<z.ZodObject<typeof limitedClientSettings>>;
}

/** `notSent`: the permit had expired before the request was sent. `refused`: 429. `failed`: there is no answer. */
export type Answer =
  | { outcome: 'answered'; status: number; body: string }
  | { outcome: 'notSent' | 'refused' }
  | { outcome: 'failed'; error: unknown };

/** Between two tries while Redis does not answer. */
const RETRY_MS = 1_000;
/** Slots may come back one by one: a process takes what has gathered. */
const GATHER_MS = 50;
/** These come with every window. */
const EXPECTED = new Set<QuotaEvent['event']>(['blocked', 'reopened']);

const NO_CONNECTION = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

/**
 * Calls an HTTP service that limits its callers. All processes together send what the service accepts, and no more: each
 * request has a permit from the count in Redis, and its answer settles the permit.
 */
export class LimitedClient implements OnApplicationShutdown {
  private readonly redis: RedisConnection;
  private readonly quota: Quota;
  private readonly readAnnouncement: AnnouncementReader;

  constructor(
    private readonly options: LimitedClientOptions,
    readiness: Readiness,
  ) {
    const { name, policy, timeoutMs, settings } = options;
    const logger = new Logger('quota');
    this.redis = openQuotaRedis(settings.REDIS_URL);
    logTransitions(this.redis, `permits of ${name}`);
    this.readAnnouncement = announcementReader([{ policy }]);
    this.quota = new Quota({
      redis: this.redis,
      providers: [{ name, timeoutMs, policy }],
      whenForgotten: settings.QUOTA_WHEN_FORGOTTEN,
      budgetMs: settings.QUOTA_BUDGET_MS,
      onEvent: ({ event, ...fields }) => EXPECTED.has(event) || logger.warn(`quota ${event}`, fields),
    });
    readiness.require('redis', () => (this.quota.isConnected ? undefined : 'is not connected'));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.quota.close();
    this.redis.disconnect();
  }

  /** How long this process knows that no permit is granted, in milliseconds; 0 when one may be. */
  get blockedForMs(): number {
    const blockedMs = this.quota.blockedForMs(this.options.name);
    return blockedMs > 0 ? Math.max(blockedMs, GATHER_MS) : 0;
  }

  /** Up to `most` permits, for `send` or `giveBack`, and how long to wait before the next call, in milliseconds. */
  async reserve(most: number): Promise<{ permits: Permit[]; pauseMs: number }> {
    const reservations = await Promise.all(Array.from({ length: most }, () => this.quota.reserve(this.options.name)));
    return {
      permits: reservations.flatMap((reservation) => (reservation.granted ? [reservation.permit] : [])),
      pauseMs: Math.max(0, ...reservations.map(pauseAfter)),
    };
  }

  giveBack(permits: readonly Permit[]): void {
    for (const permit of permits) this.quota.settle(permit, { outcome: 'notSent' });
  }

  /** Sends one request, and settles its permit. Never throws. */
  async send(permit: Permit, url: string, init: RequestInit = {}): Promise<Answer> {
    if (performance.now() >= permit.sendByMs) {
      this.giveBack([permit]);
      return { outcome: 'notSent' };
    }
    try {
      const signal = AbortSignal.timeout(this.options.timeoutMs);
      const response = await fetch(url, { redirect: 'error', ...init, signal });
      const outcome = response.status === 429 ? 'refused' : 'accepted';
      this.quota.settle(permit, { outcome, announced: this.readAnnouncement(Object.fromEntries(response.headers)) });
      // The connection is free again once the body is read.
      const body = await response.text();
      return outcome === 'refused' ? { outcome } : { outcome: 'answered', status: response.status, body };
    } catch (error) {
      // A second settlement changes nothing, if it was the body that did not arrive.
      this.quota.settle(permit, { outcome: isUnsent(error) ? 'notSent' : 'unknown' });
      return { outcome: 'failed', error };
    }
  }
}

function pauseAfter(reservation: Reservation): number {
  if (reservation.granted) return 0;
  return reservation.reason === 'unavailable' ? RETRY_MS : Math.max(reservation.waitMs, GATHER_MS);
}

/** No connection: the service cannot have counted the request. */
function isUnsent(error: unknown): boolean {
  return NO_CONNECTION.has((error as { cause?: { code?: string } }).cause?.code ?? '');
}
