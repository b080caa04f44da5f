import { Inject, Injectable } from '@nestjs/common';
import { type LimitedPolicy, limitOf, periodMsOf, Quota } from '#quota';
import { type Channels, Claims } from '../journal/claims.service.js';
import { type Message, placeOf } from '../message.js';
import { type Provider, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import type { Rates } from '../routing/arrival-rate.js';
import { claimMsOf } from '../routing/deadlines.js';
import { FreeShares } from '../quota/free-shares.service.js';
import { dueThresholdsMs, type PatientShare, patientShare, type Situation } from '../routing/patient-share.js';
import { POLL_MS, type Slot } from './free-quota-dispatcher.js';
import { UrgentTraffic } from './urgent-traffic.service.js';

/** From the opening of a window to the answer to the first message that waited for it. */
const ROUND_TRIP_MS = 50;
/** Most waiting messages that a poll counts. */
const COUNT_MAX = 10_000;
/** Messages beyond this many windows do not change how many may go now. */
const WINDOWS_MAX = 100;
/** Least time between two hops that say that messages are held back. */
const HELD_BACK_NOTE_MS = 1_000;

/** Most accounts with a free share that a round looks at. */
const SHARES_MAX = 200;

type OpenSlots = Pick<Situation, 'slots' | 'windowEndsInMs'>;

/** The waiting messages of all pods, as this pod knows them: how many, who may go, who is due. */
@Injectable()
export class WaitingQueue {
  private waiting = 0;
  /** Urgent traffic of the other pods, as of the last poll. */
  private others: Rates = { recent: 0, usual: 0 };
  private heldBackNotedMs = -Infinity;
  private readonly addedListeners: (() => void)[] = [];

  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly claims: Claims,
    private readonly quota: Quota,
    private readonly urgent: UrgentTraffic,
    private readonly freeShares: FreeShares,
  ) {}

  /** How many messages wait, as of the last poll. */
  get length(): number {
    return this.waiting;
  }

  /** Time until urgent messages no longer keep the free slots, in milliseconds; Infinity while they come steadily. */
  get urgentTrafficEndsInMs(): number {
    return this.urgent.endsInMs;
  }

  onAdded(listener: () => void): void {
    this.addedListeners.push(listener);
  }

  /** A message waits that did not wait before. */
  add(): void {
    this.waiting += 1;
    for (const listener of this.addedListeners) listener();
  }

  /** Counts the waiting messages. @returns in how many milliseconds the first of them is due */
  async poll(): Promise<number | undefined> {
    const wasEmpty = this.waiting === 0;
    const { waiting, dueInMs } = await this.claims.poll(this.urgent.perSecond(), COUNT_MAX);
    this.waiting = waiting;
    if (wasEmpty && waiting > 0) for (const listener of this.addedListeners) listener();
    return dueInMs;
  }

  /** How many messages may take a slot of a provider now, and when to ask again. */
  async share(provider: Provider): Promise<PatientShare> {
    const { account, quota: policy } = provider;
    if (policy === undefined || this.waiting === 0) return { take: this.waiting, heldBack: 0, lookAgainMs: POLL_MS };
    const thresholdsMs = dueThresholdsMs({ policy, roundTripMs: ROUND_TRIP_MS });
    const max = this.countMax(policy);
    const { waiting, others } = await this.claims.countWaiting(thresholdsMs, {
      max,
      channels: this.channelsOf(provider),
      without: withNothingLeft(await this.sharesOf(provider)),
    });
    if (waiting.total < max && this.channelsOf(provider) === undefined) this.waiting = waiting.total;
    this.others = others;
    if (waiting.total === 0) return { take: 0, heldBack: 0, lookAgainMs: POLL_MS };
    const urgentPerSecond = this.urgentPerSecond();
    const open = await this.openSlots(account, policy, urgentPerSecond);
    const share = patientShare({ policy, ...open, urgentPerSecond, waiting, roundTripMs: ROUND_TRIP_MS });
    if (share.heldBack > 0) await this.noteHeldBack(provider, share.heldBack);
    return share;
  }

  /** As many messages as there are slots. */
  async claim(provider: Provider, slots: readonly Slot[]): Promise<Message[]> {
    const claimed = await this.claims.claimForSlots({
      place: placeOf(provider),
      channels: this.channelsOf(provider),
      epoch: slots[0]?.epoch,
      count: slots.length,
      claimMs: claimMsOf(this.config.providers),
      lastChanceMs: lastChanceMsOf(provider),
      quota: provider.account,
      shares: await this.sharesOf(provider),
    });
    this.waiting = Math.max(0, this.waiting - claimed.length);
    return claimed;
  }

  /** What is left of the free shares of the accounts that wait. Beyond the maximum, the charge of each permit decides. */
  private async sharesOf(provider: Provider): Promise<Record<string, number>> {
    const ids = this.freeShares.accountIds;
    const waiting = await this.claims.accountsWaiting(ids, SHARES_MAX);
    return this.freeShares.leftOf(provider, waiting);
  }

  claimDue(count: number): Promise<Message[]> {
    return this.claims.claimDue({ count, claimMs: claimMsOf(this.config.providers) });
  }

  /** @returns how many messages expired */
  expire(count: number): Promise<number> {
    return this.claims.expire(count);
  }

  private channelsOf(provider: Provider): Channels {
    const channels = [...this.config.channels.values()];
    const own = channels.filter(({ providers }) => providers.includes(provider));
    return own.length === channels.length ? undefined : own.map(({ name }) => name);
  }

  /** Without urgent messages one window's worth may go; with them, later deadlines matter too. */
  private countMax(policy: LimitedPolicy): number {
    const { recent, usual } = this.urgentPerSecond();
    const isQuiet = (Math.max(recent, usual) * periodMsOf(policy)) / 1_000 < 1;
    return isQuiet ? limitOf(policy) : Math.min(COUNT_MAX, WINDOWS_MAX * limitOf(policy));
  }

  private urgentPerSecond(): Rates {
    const own = this.urgent.perSecond();
    return { recent: own.recent + this.others.recent, usual: own.usual + this.others.usual };
  }

  /** Without urgent messages there is no share to compute: the permits themselves say how many slots are open. */
  private async openSlots(account: string, policy: LimitedPolicy, urgent: Rates): Promise<OpenSlots> {
    if (urgent.recent + urgent.usual === 0) return { slots: limitOf(policy) };
    const state = await this.quota.state(account);
    if (state === undefined) return { slots: 0 };
    // Closed: a whole window, so that the dispatcher asks for permits and learns how long to wait.
    if (state.state !== 'open') return { slots: limitOf(policy) };
    const { limit, used, windowEndsInMs } = state;
    return { slots: Math.max(0, limit - used), ...(windowEndsInMs !== undefined && { windowEndsInMs }) };
  }

  /** Records why messages do not take open slots. */
  private async noteHeldBack(provider: Provider, count: number): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.heldBackNotedMs < HELD_BACK_NOTE_MS) return;
    this.heldBackNotedMs = nowMs;
    await this.claims.noteHeldBack({ place: placeOf(provider), channels: this.channelsOf(provider), count });
  }
}

/** A message that must be sent within this time may not find a slot of a later window. */
function lastChanceMsOf({ quota: policy }: Provider): number {
  return policy === undefined ? 0 : (dueThresholdsMs({ policy, roundTripMs: ROUND_TRIP_MS })[0] ?? 0);
}

function withNothingLeft(shares: Readonly<Record<string, number>>): string[] {
  return Object.keys(shares).filter((id) => shares[id] === 0);
}
