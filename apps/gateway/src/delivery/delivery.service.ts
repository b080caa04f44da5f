import { Inject, Injectable } from '@nestjs/common';
import { Counter } from 'prom-client';
import { type Permit, periodMsOf, Quota, type Reservation, type Settlement } from '#quota';
import { addHop, type Change, type Message } from '../message.js';
import { ProviderClient, type SendResult } from '../providers/provider-client.js';
import { type Provider, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { chooseRoute } from '../routing/choose-route.js';
import { claimMsOf } from '../routing/deadlines.js';
import { nextTraceparent } from '../trace-context.js';

export type Denial = Extract<Reservation, { granted: false }>;

export type Delivery =
  | { outcome: 'delivered'; provider: Provider; response: string }
  /** `unknownAt`: the provider that was sent the message last without an answer. */
  | { outcome: 'undelivered'; denials: Denial[]; unknownAt: Provider | undefined }
  /** Another pod works on the message: this one must not send it. */
  | { outcome: 'takenOver' };

const attempts = new Counter({
  name: 'octo_attempts_total',
  help: 'Sends to providers by outcome',
  labelNames: ['provider', 'outcome'] as const,
});

/** A provider without a quota needs no permit. */
const UNLIMITED = { granted: true, permit: undefined } as const;

/** Sends one message, provider by provider: permit, send, settle. Adds a hop for everything that happens. */
@Injectable()
export class DeliveryService {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly quota: Quota,
    private readonly client: ProviderClient,
  ) {}

  /** The providers this message may use, cheapest first. */
  routeOf({ mayPay }: Message): readonly Provider[] {
    return chooseRoute({ providers: this.config.providers, mayPay });
  }

  /** Says in the journal that this pod sends the message, for as long as all providers together may take. */
  claim(): Change {
    return { status: 'sending', claimMs: claimMsOf(this.config.providers) };
  }

  /**
   * Tries the providers of a route in turn.
   * @param recordIntent called before each send: puts on disk that the message is being sent. False when another pod
   * has taken the message over. When it throws, nothing is sent.
   */
  async deliver(
    message: Message,
    route: readonly Provider[],
    recordIntent?: () => Promise<boolean>,
  ): Promise<Delivery> {
    const denials: Denial[] = [];
    let unknownAt: Provider | undefined;
    for (const provider of route) {
      const reservation = await this.reserve(message, provider, recordIntent);
      if (reservation === 'takenOver') return { outcome: 'takenOver' };
      if (!reservation.granted) {
        addDenial(message, provider, reservation);
        denials.push(reservation);
        continue;
      }
      const result = await this.send(message, provider, reservation.permit);
      if (result.outcome === 'delivered') return { outcome: 'delivered', provider, response: result.response };
      if (result.outcome === 'refused') denials.push(denialOf(result, provider));
      if (result.outcome === 'unknown') unknownAt = provider;
    }
    return { outcome: 'undelivered', denials, unknownAt };
  }

  /** Sends a message whose intent is recorded, settles its permit and adds a hop with the answer. */
  async send(message: Message, provider: Provider, permit: Permit | undefined): Promise<SendResult> {
    const startedMs = performance.now();
    const result = isExpired(permit) ? PERMIT_EXPIRED : await this.client.send(provider, outgoing(message));
    if (permit !== undefined) this.quota.settle(permit, settlementOf(message, provider, result));
    attempts.inc({ provider: provider.name, outcome: result.outcome });
    addHop(message, {
      step: 'answered',
      provider: provider.name,
      outcome: result.outcome,
      httpStatus: result.httpStatus,
      costMicros: result.outcome === 'delivered' ? provider.priceMicros : 0,
      durationMs: Math.round((performance.now() - startedMs) * 1_000) / 1_000,
      reason: result.outcome === 'delivered' ? undefined : result.reason,
      sent: result.settlement.outcome === 'notSent' ? false : undefined,
    });
    return result;
  }

  /** A permit, and the intent to send on disk. The hop names the permit's window. */
  private async reserve(
    message: Message,
    provider: Provider,
    recordIntent: (() => Promise<boolean>) | undefined,
  ): Promise<typeof UNLIMITED | Reservation | 'takenOver'> {
    const reservation = await this.permitFor(provider);
    if (!reservation.granted) return reservation;
    addHop(message, { step: 'sending', provider: provider.name, epoch: reservation.permit?.epoch });
    if (recordIntent === undefined) return reservation;
    const { permit } = reservation;
    let isOurs = false;
    try {
      isOurs = await recordIntent();
    } finally {
      // A slow disk must not cost the slot: an expired permit is given back and replaced by a new one.
      if (permit !== undefined && (!isOurs || isExpired(permit))) this.quota.settle(permit, { outcome: 'notSent' });
    }
    if (!isOurs) return 'takenOver';
    return isExpired(permit) ? this.permitFor(provider) : reservation;
  }

  private async permitFor({ name, quota }: Provider): Promise<typeof UNLIMITED | Reservation> {
    return quota === undefined ? UNLIMITED : this.quota.reserve(name);
  }
}

const PERMIT_EXPIRED: SendResult = {
  outcome: 'failed',
  httpStatus: null,
  reason: 'the permit expired before the send',
  settlement: { outcome: 'notSent' },
};

function isExpired(permit: Permit | undefined): boolean {
  return permit !== undefined && performance.now() >= permit.sendByMs;
}

/** A provider that already accepted the message replays its answer without counting it again: settle as unknown. */
function settlementOf({ onlyProvider }: Message, { name }: Provider, { settlement }: SendResult): Settlement {
  const isReplay = onlyProvider === name && settlement.outcome === 'accepted';
  return isReplay ? { outcome: 'unknown' } : settlement;
}

function outgoing({ id, text, requestId, traceparent }: Message) {
  return { id, text, requestId, traceparent: nextTraceparent(traceparent) };
}

function addDenial(message: Message, { name }: Provider, denial: Denial): void {
  const waitMs = denial.reason === 'unavailable' ? undefined : Math.round(denial.waitMs);
  addHop(message, { step: 'no_permit', provider: name, reason: denial.reason, waitMs });
}

function denialOf({ settlement }: SendResult, { quota }: Provider): Denial {
  const retryAfterMs = settlement.outcome === 'refused' ? settlement.announced?.retryAfterMs : undefined;
  const waitMs = retryAfterMs ?? (quota === undefined ? 1_000 : periodMsOf(quota));
  return { granted: false, reason: 'blocked', waitMs };
}
