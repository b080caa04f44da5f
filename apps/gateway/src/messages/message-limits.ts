import { Inject, Injectable } from '@nestjs/common';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { ProblemException } from '#service';
import type { GatewaySettings } from '../gateway.settings.js';
import { SETTINGS } from '../settings.token.js';

/** What one pod takes on: a rate per account and a number of messages in work. Costs no trip to a store. */
@Injectable()
export class MessageLimits {
  private readonly rate: RateLimiterMemory;
  private readonly maxInFlight: number;
  private inFlight = 0;

  constructor(@Inject(SETTINGS) settings: GatewaySettings) {
    this.rate = new RateLimiterMemory({ points: settings.MESSAGES_PER_SECOND, duration: 1 });
    this.maxInFlight = settings.MAX_IN_FLIGHT;
  }

  /**
   * Runs the work of one message if there is room for it.
   * @throws ProblemException `too_many_requests` or `unavailable`
   */
  async admit<Result>(accountId: string, work: () => Promise<Result>): Promise<Result> {
    await this.countAgainstRate(accountId);
    if (this.inFlight >= this.maxInFlight) {
      throw new ProblemException('unavailable', 'Too many messages are in work here. Try again.', {
        retryAfterMs: 1_000,
      });
    }
    this.inFlight += 1;
    try {
      return await work();
    } finally {
      this.inFlight -= 1;
    }
  }

  private async countAgainstRate(accountId: string): Promise<void> {
    try {
      await this.rate.consume(accountId);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      throw new ProblemException('too_many_requests', 'This account sends too fast. Slow down.', {
        retryAfterMs: error.msBeforeNext,
      });
    }
  }
}
