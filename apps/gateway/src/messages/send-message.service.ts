import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { Caller } from '#access-token';
import type { Attempt, DeliveredMessage, SendMessage } from '#contracts';
import { periodMsOf, type Permit, Quota, type Reservation } from '#quota';
import { ProviderClient, type OutgoingMessage, type SendResult } from '../providers/provider-client.js';
import type { Provider, ProvidersFile } from '../providers/providers-file.js';
import { PROVIDERS } from '../providers/providers.token.js';
import { chooseRoute } from './choose-route.js';
import { messageOutcomes } from './message-metrics.js';
import { MessageLimits } from './message-limits.js';
import { childTraceparent } from './trace-context.js';
import { type Denial, undelivered } from './undelivered.js';

export interface RequestOrigin {
  requestId: string;
  traceparent: string | undefined;
}

const UNLIMITED = { granted: true, permit: undefined } as const;

@Injectable()
export class SendMessageService {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly quota: Quota,
    private readonly client: ProviderClient,
    private readonly limits: MessageLimits,
  ) {}

  /**
   * Sends a message by the cheapest provider it may use and that has room for it.
   * @throws ProblemException saying why nobody could deliver it
   */
  send(message: SendMessage, caller: Caller, origin: RequestOrigin): Promise<DeliveredMessage> {
    return this.limits.admit(caller.accountId, () => this.deliver(message, caller, origin));
  }

  private async deliver(message: SendMessage, caller: Caller, origin: RequestOrigin): Promise<DeliveredMessage> {
    const createdAt = new Date();
    const mayPay = caller.paidAccess && message.paid === 'allowed';
    const outgoing: OutgoingMessage = {
      id: randomUUID(),
      text: message.message,
      requestId: origin.requestId,
      traceparent: childTraceparent(origin.traceparent),
    };
    const attempts: Attempt[] = [];
    const denials: Denial[] = [];
    for (const provider of chooseRoute({ providers: this.config.providers, mayPay })) {
      const reservation = await this.reserve(provider);
      if (!reservation.granted) {
        denials.push(reservation);
        continue;
      }
      const { attempt, result } = await this.attempt(provider, reservation.permit, outgoing);
      attempts.push(attempt);
      if (result.outcome === 'refused') denials.push(denialOf(result, provider));
      if (result.outcome === 'delivered') {
        return this.delivered({ provider, outgoing, createdAt, attempts, response: result.response });
      }
    }
    throw undelivered({ attempts, denials, mayPay, nowMs: Date.now() });
  }

  private reserve({ name, quota }: Provider): Promise<Reservation> | typeof UNLIMITED {
    return quota === undefined ? UNLIMITED : this.quota.reserve(name);
  }

  private async attempt(
    provider: Provider,
    permit: Permit | undefined,
    outgoing: OutgoingMessage,
  ): Promise<{ attempt: Attempt; result: SendResult }> {
    const startedAt = new Date();
    const startedMs = performance.now();
    const result = await this.client.send(provider, outgoing);
    if (permit !== undefined) this.quota.settle(permit, result.settlement);
    messageOutcomes.inc({ provider: provider.name, outcome: result.outcome });
    const attempt: Attempt = {
      provider: provider.name,
      outcome: result.outcome,
      httpStatus: result.httpStatus,
      startedAt: startedAt.toISOString(),
      durationMs: Math.round((performance.now() - startedMs) * 1_000) / 1_000,
    };
    return { attempt, result };
  }

  private delivered({
    provider,
    outgoing,
    createdAt,
    attempts,
    response,
  }: {
    provider: Provider;
    outgoing: OutgoingMessage;
    createdAt: Date;
    attempts: Attempt[];
    response: string;
  }): DeliveredMessage {
    return {
      id: outgoing.id,
      status: 'delivered',
      provider: provider.name,
      response,
      costMicros: provider.priceMicros,
      currency: this.config.currency,
      createdAt: createdAt.toISOString(),
      deliveredAt: new Date().toISOString(),
      attempts,
    };
  }
}

function denialOf({ settlement }: SendResult, { quota }: Provider): Denial {
  const said = settlement.outcome === 'refused' ? settlement.announced?.retryAfterMs : undefined;
  const waitMs = said ?? (quota === undefined ? 1_000 : periodMsOf(quota));
  return { granted: false, reason: 'blocked', waitMs };
}
