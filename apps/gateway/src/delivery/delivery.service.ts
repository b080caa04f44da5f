import { Inject, Injectable, Logger } from '@nestjs/common';
import { Counter, Histogram } from 'prom-client';
import { type Permit, periodMsOf, Quota, type Reservation, type Settlement, waitMsOf } from '#quota';
import { addHop, type Change, isPlaceOf, type Message, placeOf } from '../message.js';
import { noteAvoidable } from '../metrics/message-metrics.js';
import { AccountHealth } from '../providers/account-health.service.js';
import { printable, type SendResult } from '../providers/answer-reader.js';
import type { Channel } from '../providers/channel.js';
import { notRendered, type OutgoingMessage, ProviderClient } from '../providers/provider-client.js';
import { ProviderSwitches } from '../providers/provider-switches.service.js';
import { DEFAULT_CHANNEL, type Provider, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import type { OutgoingRequest } from '../providers/request-template.js';
import type { SpendingDenial } from '../money/limits.js';
import { LOOK_AGAIN_MS, Spending } from '../money/spending.service.js';
import { FreeShares, type ShareDenial } from '../quota/free-shares.service.js';
import { chooseRoute, isFree } from '../routing/choose-route.js';
import { claimMsOf } from '../routing/deadlines.js';
import { nextTraceparent } from '../trace-context.js';
import {
  attemptOutcomeOf,
  costOf,
  mayBeCharged,
  notSent,
  settlementOf,
  unansweredAfter,
  usedOf,
} from './send-results.js';

/**
 * Why a message was not sent to a provider: no permit, a paused or disabled account, a used up free share, or nothing may
 * be spent.
 */
export type Denial =
  | Extract<Reservation, { granted: false }>
  | { granted: false; reason: 'paused' | 'disabled'; waitMs: number }
  | ShareDenial
  | SpendingDenial;

export type Delivery =
  | { outcome: 'delivered'; provider: Provider; response: unknown; costMicros: number }
  /** A provider says that the message itself is wrong, in its own words. */
  | { outcome: 'rejected'; detail: string }
  /** `silentProvider`: the provider that was sent the message last without an answer. */
  | { outcome: 'undelivered'; denials: Denial[]; silentProvider: Provider | undefined }
  /** Another pod works on the message: this one must not send it. */
  | { outcome: 'takenOver' };

const attempts = new Counter({
  name: 'octo_attempts_total',
  help: 'Sends to providers by outcome',
  labelNames: ['provider', 'outcome'] as const,
});

const providerDuration = new Histogram({
  name: 'octo_provider_duration_seconds',
  help: 'Time of one send to a provider, whatever its outcome',
  labelNames: ['provider'] as const,
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
});

/** A wait taken from an answer is never used raw: a provider may say 0. */
const WAIT_MIN_MS = 500;

/** A provider without a quota needs no permit. */
const UNLIMITED = { granted: true, permit: undefined } as const;

/** Sends one message, provider by provider: permit, send, settle. Adds a hop for everything that happens. */
@Injectable()
export class DeliveryService {
  private readonly logger = new Logger('delivery');

  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly quota: Quota,
    private readonly client: ProviderClient,
    private readonly health: AccountHealth,
    private readonly spending: Spending,
    private readonly shares: FreeShares,
    private readonly switches: ProviderSwitches,
  ) {}

  /** The provider accounts this message may use, cheapest first. */
  routeOf({ mayPay, channel }: Message): readonly Provider[] {
    return chooseRoute({ providers: this.config.channels.get(channel)?.providers ?? [], mayPay });
  }

  /** Says in the journal that this pod sends the message, for as long as all providers together may take. */
  claim(): Change {
    return { status: 'sending', claimMs: claimMsOf(this.config.providers) };
  }

  /** The channel of a request; the default one if it names none. Undefined if there is no such channel. */
  channelNamed(name: string | undefined): Channel | undefined {
    const { channels } = this.config;
    if (name !== undefined) return channels.get(name);
    const [only] = channels.values();
    return channels.size === 1 ? only : channels.get(DEFAULT_CHANNEL);
  }

  /** Whether a rejection by one provider ends the message. */
  stopsAtRejection({ channel }: Message): boolean {
    return this.config.channels.get(channel)?.onRejected !== 'next';
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
    const stopsAtUnknown = this.config.channels.get(message.channel)?.onNoAnswer === 'stop';
    const denials: Denial[] = [];
    let silentProvider: Provider | undefined;
    for (const [index, provider] of route.entries()) {
      const hasNext = index < route.length - 1;
      const isAvoidable = !isFree(provider) && this.hasFreeSlot(message);
      const reservation =
        this.pauseOf(message, provider, hasNext) ?? (await this.holdAndReserve(message, provider, recordIntent));
      if (reservation === 'takenOver') return { outcome: 'takenOver' };
      if (!reservation.granted) {
        addDenial(message, provider, reservation);
        denials.push(reservation);
        continue;
      }
      const isHedged = hasNext && !stopsAtUnknown && isFree(provider);
      const patienceMs = isHedged ? this.health.patienceMs(provider) : Infinity;
      const result = await this.send(message, provider, reservation.permit, patienceMs);
      if (result.outcome === 'delivered') {
        const { response, costMicros } = result;
        if (isAvoidable && costMicros > 0) noteAvoidable(message);
        return { outcome: 'delivered', provider, response, costMicros };
      }
      if (result.outcome !== 'unknown' && !mayBeCharged(result)) this.spending.release(message);
      if (result.outcome === 'rejected' && this.stopsAtRejection(message))
        return { outcome: 'rejected', detail: result.detail };
      if (result.outcome === 'refused') denials.push(denialOf(result, provider));
      if (result.outcome !== 'unknown') continue;
      silentProvider = provider;
      if (stopsAtUnknown) break;
    }
    return { outcome: 'undelivered', denials, silentProvider };
  }

  /**
   * Sends a message whose intent is recorded, settles its permit and adds a hop with the answer.
   * @param patienceMs the outcome is unknown after this time; the request goes on, and its answer settles the permit
   */
  async send(
    message: Message,
    provider: Provider,
    permit: Permit | undefined,
    patienceMs = Infinity,
  ): Promise<SendOutcome> {
    const startedMs = performance.now();
    const sent = this.exchangeAndSettle(message, provider, permit);
    const result = patienceMs === Infinity ? await sent : await Promise.race([sent, unansweredAfter(patienceMs)]);
    attempts.inc({ provider: provider.name, outcome: result.outcome });
    const durationMs = performance.now() - startedMs;
    if (result.outcome !== 'notSent') providerDuration.observe({ provider: provider.name }, durationMs / 1_000);
    const costMicros = costOf(result, provider);
    addHop(message, {
      step: 'answered',
      ...placeOf(provider),
      outcome: attemptOutcomeOf(result),
      httpStatus: result.httpStatus,
      costMicros,
      durationMs: Math.round(durationMs * 1_000) / 1_000,
      reason: result.outcome === 'delivered' ? undefined : printable(this.config.redact(result.reason)),
      sent: result.outcome === 'notSent' ? false : undefined,
      used: usedOf(result, permit),
    });
    this.logger.debug('sent', { id: message.id, account: provider.key, outcome: result.outcome, durationMs });
    if (result.outcome !== 'delivered') return result;
    const { outcome, httpStatus, response, settlement } = result;
    return { outcome, httpStatus, response, costMicros, settlement };
  }

  private async exchangeAndSettle(
    message: Message,
    provider: Provider,
    permit: Permit | undefined,
  ): Promise<SendResult> {
    const result = isExpired(permit) ? PERMIT_EXPIRED : await this.exchange(message, provider);
    if (permit !== undefined)
      this.settle(message, provider, permit, settlementOf(message, provider, { result, permit }));
    return result;
  }

  private settle({ accountId }: Message, provider: Provider, permit: Permit, settlement: Settlement): void {
    this.quota.settle(permit, settlement);
    if (settlement.outcome === 'notSent') this.shares.giveBack(accountId, provider, permit);
  }

  /** Renders the request and sends it through the circuit breaker of the account. */
  private async exchange(message: Message, provider: Provider): Promise<SendResult> {
    let request: OutgoingRequest;
    try {
      const rendered = this.client.render(provider, outgoing(message));
      request = rendered instanceof Promise ? await rendered : rendered;
    } catch (error) {
      return notRendered(error);
    }
    return (await this.health.send(provider, () => this.client.send(provider, request))) ?? PAUSED;
  }

  /** A paused account is passed over, and so is one that seems to hang, if the message may use another one. */
  private pauseOf({ onlyProvider }: Message, provider: Provider, hasNext: boolean): Denial | undefined {
    if (!this.switches.allows(provider, { isRepeat: onlyProvider === provider.key })) return DISABLED;
    const pause = this.health.pauseOf(provider);
    if (pause !== undefined) return { granted: false, reason: 'paused', waitMs: pause.waitMs };
    return hasNext && this.health.isHanging(provider) ? HANGING : undefined;
  }

  /** Whether a free account of the channel that has not failed this message seems to have a slot. For a metric only. */
  private hasFreeSlot({ channel, hops }: Message): boolean {
    const providers = this.config.channels.get(channel)?.providers ?? [];
    return providers.some(
      (provider) =>
        isFree(provider) &&
        this.switches.stateOf(provider) === 'enabled' &&
        (provider.quotas.length === 0 || this.quota.seemsOpen(provider.account)) &&
        this.health.pauseOf(provider) === undefined &&
        !this.health.isHanging(provider) &&
        !hops.some((hop) => (hop.step === 'answered' || hop.reason === 'share') && isPlaceOf(hop, provider)),
    );
  }

  /** The price of a paid send is held first: a permit expires soon. */
  private async holdAndReserve(
    message: Message,
    provider: Provider,
    recordIntent: (() => Promise<boolean>) | undefined,
  ): Promise<typeof UNLIMITED | Reservation | ShareDenial | SpendingDenial | 'takenOver'> {
    if (isFree(provider)) return this.reserve(message, provider, recordIntent);
    const denial = await this.spending.hold(message, provider);
    if (denial !== undefined) return denial;
    let reservation: Awaited<ReturnType<typeof this.reserve>>;
    try {
      reservation = await this.reserve(message, provider, recordIntent);
    } catch (error) {
      // The intent may be on disk: then another pod sends the message.
      this.spending.forget(message);
      throw error;
    }
    if (reservation !== 'takenOver' && !reservation.granted) this.spending.release(message);
    return reservation;
  }

  /** A permit, and the intent to send on disk. The hop names the permit's window. */
  private async reserve(
    message: Message,
    provider: Provider,
    recordIntent: (() => Promise<boolean>) | undefined,
  ): Promise<typeof UNLIMITED | Reservation | ShareDenial | 'takenOver'> {
    const reservation = await this.permitFor(message, provider);
    if (!reservation.granted) return reservation;
    addHop(message, { step: 'sending', ...placeOf(provider), epoch: reservation.permit?.epoch });
    if (recordIntent === undefined) return reservation;
    const { permit } = reservation;
    let isOurs = false;
    try {
      isOurs = await recordIntent();
    } finally {
      // A slow disk must not cost the slot: an expired permit is given back and replaced by a new one.
      if (permit !== undefined && (!isOurs || isExpired(permit)))
        this.settle(message, provider, permit, { outcome: 'notSent' });
    }
    if (!isOurs) return 'takenOver';
    return isExpired(permit) ? this.permitFor(message, provider) : reservation;
  }

  private async permitFor(message: Message, provider: Provider): Promise<typeof UNLIMITED | Reservation | ShareDenial> {
    if (provider.quotas.length === 0) return UNLIMITED;
    if (!isFree(provider)) return this.anyPermitFor(message, provider);
    return this.shares.reserve(message.accountId, provider, () => this.anyPermitFor(message, provider));
  }

  private async anyPermitFor({ id, channel, content }: Message, { account, estimate }: Provider): Promise<Reservation> {
    if (estimate === undefined) return this.quota.reserve(account);
    return this.quota.reserve(account, await estimate({ message: content, id, channel, account }));
  }
}

/** The result of one send, with the true cost of a delivery. */
export type SendOutcome = Exclude<SendResult, { outcome: 'delivered' }> | DeliveredResult;
type DeliveredResult = Extract<SendResult, { outcome: 'delivered' }> & { costMicros: number };

const PERMIT_EXPIRED = notSent('the permit expired before the send');
const PAUSED = notSent('the account is paused');
/** An admin may enable the account at any time. */
const DISABLED: Denial = { granted: false, reason: 'disabled', waitMs: LOOK_AGAIN_MS };
const HANGING: Denial = { granted: false, reason: 'paused', waitMs: 1_000 };

function isExpired(permit: Permit | undefined): boolean {
  return permit !== undefined && performance.now() >= permit.sendByMs;
}

function outgoing({ id, channel, content, requestId, traceparent }: Message): OutgoingMessage {
  return { id, channel, content, requestId, traceparent: nextTraceparent(traceparent) };
}

function addDenial(message: Message, provider: Provider, denial: Denial): void {
  const waitMs = denial.reason === 'unavailable' ? undefined : Math.round(denial.waitMs);
  addHop(message, { step: 'no_permit', ...placeOf(provider), reason: denial.reason, waitMs });
}

function denialOf({ settlement }: SendResult, { quota }: Provider): Denial {
  const retryAfterMs = settlement.outcome === 'refused' ? waitMsOf(settlement.announced) : undefined;
  const waitMs = retryAfterMs ?? (quota === undefined ? 1_000 : periodMsOf(quota));
  return { granted: false, reason: 'blocked', waitMs: Math.max(WAIT_MIN_MS, waitMs) };
}
