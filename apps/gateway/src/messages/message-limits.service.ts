import { Inject, Injectable } from '@nestjs/common';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { ProblemException } from '#service';
import { callbackRefusal } from '../callbacks/callback-refusal.js';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import type { Message } from '../message.js';
import { UrgentTraffic } from '../waiting/urgent-traffic.service.js';
import { WaitingLimits } from './waiting-limits.service.js';

/** What one pod admits: a rate for each account, and a number of messages in flight. Only messages that are to wait need a query. */
@Injectable()
export class MessageLimits {
  private readonly rate: RateLimiterMemory;
  private readonly maxInFlight: number;
  private inFlight = 0;

  constructor(
    @Inject(SETTINGS) private readonly settings: GatewaySettings,
    private readonly urgent: UrgentTraffic,
    private readonly waiting: WaitingLimits,
  ) {
    this.rate = new RateLimiterMemory({ points: settings.MESSAGES_PER_SECOND, duration: 1 });
    this.maxInFlight = settings.MAX_IN_FLIGHT;
  }

  get messagesInFlight(): number {
    return this.inFlight;
  }

  /**
   * Counts a request to send a message, before its body is read: a body that is refused costs time as well.
   * @throws ProblemException `too_many_requests`
   */
  async countRequest(accountId: string): Promise<void> {
    await this.rate.consume(accountId).catch(throwTooManyRequests);
  }

  /**
   * Does the work of one message if the limits allow it.
   * @throws ProblemException `unavailable`, or `invalid_message` for a callback that is not allowed
   */
  async admit<Result>(message: Message, work: () => Promise<Result>): Promise<Result> {
    this.refuseCallback(message.callbackUrl);
    if (this.inFlight >= this.maxInFlight) {
      throw new ProblemException('unavailable', 'Too many messages in flight. Try again.', { retryAfterMs: 1_000 });
    }
    if (message.mayPay && message.deliverBy === undefined) this.urgent.note();
    this.inFlight += 1;
    try {
      return await work();
    } finally {
      this.inFlight -= 1;
    }
  }

  /**
   * For a message that is to wait.
   * @throws ProblemException `too_many_requests`
   */
  admitWaiting(message: Message): Promise<void> {
    return this.waiting.admit(message);
  }

  private refuseCallback(url: string | undefined): void {
    const refusal = url === undefined ? undefined : callbackRefusal(url, this.settings);
    if (refusal === undefined) return;
    const errors = [{ pointer: '/callbackUrl', detail: refusal }];
    throw new ProblemException('invalid_message', `/callbackUrl ${refusal}`, { errors });
  }
}

function throwTooManyRequests(rejection: unknown): never {
  if (!(rejection instanceof RateLimiterRes)) throw rejection;
  throw new ProblemException('too_many_requests', 'This account sends too fast. Slow down.', {
    retryAfterMs: rejection.msBeforeNext,
  });
}
