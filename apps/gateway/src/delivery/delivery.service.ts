import { Injectable } from '@nestjs/common';
import { type Permit, periodMsOf, Quota, type Settlement } from '#quota';
import { addHop, type Message } from '../message.js';
import { ProviderClient, type SendResult } from '../providers/provider-client.js';
import type { Provider } from '../providers/providers-file.js';
import { messageOutcomes } from './message-metrics.js';
import { nextTraceparent } from '../trace-context.js';
import type { Denial } from '../messages/undelivered.js';

export type Delivery =
  | { outcome: 'delivered'; provider: Provider; response: string }
  /** `unknownAt`: who was sent it last without an answer. */
  | { outcome: 'undelivered'; denials: Denial[]; unknownAt: Provider | undefined };

const UNLIMITED = { granted: true, permit: undefined } as const;

/** Sends one message, and notes in it what happened. */
@Injectable()
export class DeliveryService {
  constructor(
    private readonly quota: Quota,
    private readonly client: ProviderClient,
  ) {}

  /**
   * Tries these providers in turn, those with a quota only with a permit.
   * @param intend is called before each send, when that is noted in the message: puts it on disk. When it fails the
   * message is not sent.
   */
  async deliver(message: Message, route: readonly Provider[], intend?: () => Promise<void>): Promise<Delivery> {
    const denials: Denial[] = [];
    let unknownAt: Provider | undefined;
    for (const provider of route) {
      const reservation = provider.quota === undefined ? UNLIMITED : await this.quota.reserve(provider.name);
      if (!reservation.granted) {
        noteDenial(message, provider, reservation);
        denials.push(reservation);
        continue;
      }
      addHop(message, { step: 'sending', provider: provider.name, epoch: reservation.permit?.epoch });
      if (intend !== undefined) await this.noted(intend, reservation.permit);
      const result = await this.send(message, provider, reservation.permit);
      if (result.outcome === 'delivered') return { outcome: 'delivered', provider, response: result.response };
      if (result.outcome === 'refused') denials.push(denialOf(result, provider));
      if (result.outcome === 'unknown') unknownAt = provider;
    }
    return { outcome: 'undelivered', denials, unknownAt };
  }

  /** Sends a message of which it is noted already that it is being sent, and notes the answer. */
  async send(message: Message, provider: Provider, permit: Permit | undefined): Promise<SendResult> {
    const startedMs = performance.now();
    const isTooLate = permit !== undefined && startedMs >= permit.sendByMs;
    const result = isTooLate ? NOT_SENT : await this.client.send(provider, outgoing(message));
    if (permit !== undefined) this.quota.settle(permit, settlementOf(message, provider, result));
    messageOutcomes.inc({ provider: provider.name, outcome: result.outcome });
    addHop(message, {
      step: 'answered',
      provider: provider.name,
      outcome: result.outcome,
      httpStatus: result.httpStatus,
      costMicros: result.outcome === 'delivered' ? provider.priceMicros : 0,
      durationMs: Math.round((performance.now() - startedMs) * 1_000) / 1_000,
      reason: isTooLate ? 'the permit had run out' : undefined,
    });
    return result;
  }

  private async noted(intend: () => Promise<void>, permit: Permit | undefined): Promise<void> {
    try {
      await intend();
    } catch (error) {
      if (permit !== undefined) this.quota.settle(permit, NOT_SENT.settlement);
      throw error;
    }
  }
}

const NOT_SENT: SendResult = { outcome: 'failed', httpStatus: null, settlement: { outcome: 'notSent' } };

/** Who is asked again and counted it the first time gives the same answer and counts nothing: nobody can know which. */
function settlementOf({ onlyProvider }: Message, { name }: Provider, { settlement }: SendResult): Settlement {
  const isCountUnknown = onlyProvider === name && settlement.outcome === 'accepted';
  return isCountUnknown ? { outcome: 'unknown' } : settlement;
}

function outgoing({ id, text, requestId, traceparent }: Message) {
  return { id, text, requestId, traceparent: nextTraceparent(traceparent) };
}

function noteDenial(message: Message, { name }: Provider, denial: Denial): void {
  const waitMs = denial.reason === 'unavailable' ? undefined : Math.round(denial.waitMs);
  addHop(message, { step: 'no_permit', provider: name, reason: denial.reason, waitMs });
}

function denialOf({ settlement }: SendResult, { quota }: Provider): Denial {
  const said = settlement.outcome === 'refused' ? settlement.announced?.retryAfterMs : undefined;
  const waitMs = said ?? (quota === undefined ? 1_000 : periodMsOf(quota));
  return { granted: false, reason: 'blocked', waitMs };
}
