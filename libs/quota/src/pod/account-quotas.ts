import { type Announcement, waitMsOf } from '../announcements/announcement.js';
import type { Amounts, NamedQuotaState, Permit, QuotaState, Reservation, Settlement } from '../permit.js';
import { type LimitedPolicy, periodMsOf } from '../policy.js';
import type { ProviderQuota } from './provider-quota.js';

interface NamedQuota {
  name: string;
  policy: LimitedPolicy;
  unit: string;
  quota: ProviderQuota;
}

/** The unit of a quota that counts requests. */
export const REQUESTS = 'requests';

/** From this many free slots on, callers hardly compete for them. */
const PLENTY = 200;
/** A quota from this part of its limit on may be the one that a refusal is about. */
const NEARLY_USED_UP = 0.9;
/** A wait fits a period of at most this many times its length, and of at least 1 / 1.5 times. */
const FITTING_PERIODS = 10;
const PERIODS_MAX = 1.5;
/** Providers round waits to whole seconds. */
const ROUNDING_MS = 1_000;

/**
 * Several quotas on one account. A permit covers all of them or is not granted: what was taken from one is given back at
 * once when another one denies. No quota knows of another.
 */
export class AccountQuotas {
  /** @param quotas a refusal that none of them explains is settled with the first one */
  constructor(
    private readonly account: string,
    private readonly quotas: readonly NamedQuota[],
  ) {}

  get trips(): number {
    return this.quotas.reduce((sum, { quota }) => sum + quota.trips, 0);
  }

  /**
   * No trip while a quota is known to be closed.
   * @param estimates for quotas that count amounts
   */
  async reserve(estimates: Amounts = {}): Promise<Reservation> {
    const blockedMs = this.blockedForMs;
    if (blockedMs > 0) return { granted: false, reason: 'blocked', waitMs: blockedMs };
    const reservations = await this.reserveEach(estimates);
    const parts = reservations.flatMap((reservation) => (reservation?.granted === true ? [reservation.permit] : []));
    const [first] = parts;
    if (first !== undefined && parts.length === this.quotas.length) {
      return { granted: true, permit: this.whole(first, parts) };
    }
    this.giveBack(parts);
    return denialOf(reservations);
  }

  /**
   * All quotas make their steps at the same time while each has plenty left. Otherwise the one with the fewest slots is asked
   * first: the others then lend no slots to callers that it denies. Undefined for quotas that were not asked.
   */
  private async reserveEach(estimates: Amounts): Promise<(Reservation | undefined)[]> {
    const lefts = this.quotas.map(({ quota }) => quota.left);
    const least = Math.min(...lefts);
    const scarcest = least < PLENTY ? this.quotas[lefts.indexOf(least)] : undefined;
    const first = await scarcest?.quota.reserve(estimates[scarcest.name]);
    if (first?.granted === false) return this.denials(first);
    const reserve = async (each: NamedQuota): Promise<Reservation | undefined> =>
      each === scarcest ? first : each.quota.reserve(estimates[each.name]);
    return Promise.all(this.quotas.map(reserve));
  }

  /** A quota denies a caller. While it is blocked, another one may be blocked for longer: one look tells, for all callers. */
  private async denials(denial: Reservation): Promise<Reservation[]> {
    if (denial.granted || denial.reason !== 'blocked') return [denial];
    const states = await this.states();
    const closed = states?.filter(({ state }) => state !== 'open') ?? [];
    return [denial, ...closed.map(({ waitMs }): Reservation => ({ granted: false, reason: 'blocked', waitMs }))];
  }

  /** Of the first quota, whose epochs permits have. */
  get epoch(): number {
    return this.quotas[0]?.quota.epoch ?? 0;
  }

  get blockedForMs(): number {
    return Math.max(...this.quotas.map(({ quota }) => quota.blockedForMs));
  }

  get seemsOpen(): boolean {
    return this.quotas.every(({ quota }) => quota.seemsOpen);
  }

  owns({ parts }: Permit): boolean {
    return parts !== undefined && this.quotas.some(({ quota }) => parts.some((part) => quota.owns(part)));
  }

  get isSettled(): boolean {
    return this.quotas.every(({ quota }) => quota.isSettled);
  }

  settle({ parts = [] }: Permit, settlement: Settlement): void {
    const refusedBy = settlement.outcome === 'refused' ? this.refusing(settlement.announced) : -1;
    for (const [index, { quota }] of this.quotas.entries()) {
      const part = parts[index];
      if (part === undefined) continue;
      if (settlement.outcome === 'refused' && index !== refusedBy) quota.settle(part, { outcome: 'notSent' });
      else quota.settle(part, partOf(settlement, index));
    }
  }

  async state(): Promise<QuotaState | undefined> {
    return decidingState((await this.states()) ?? []);
  }

  /** Undefined when Redis does not answer. */
  async states(): Promise<NamedQuotaState[] | undefined> {
    const states = await Promise.all(this.quotas.map(({ quota }) => quota.state()));
    const named = this.quotas.flatMap(({ name, policy, unit }, index) => {
      const state = states[index];
      return state === undefined ? [] : [{ ...state, name, policy, unit }];
    });
    return named.length === this.quotas.length ? named : undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.quotas.map(({ quota }) => quota.close()));
  }

  private whole(first: Permit, parts: readonly Permit[]): Permit {
    const sendByMs = Math.min(...parts.map((part) => part.sendByMs));
    const { epoch, generation, grantedAtMs } = first;
    const counted = this.quotas.flatMap(({ name, unit }, index) =>
      unit === REQUESTS ? [] : [[name, parts[index]?.amount ?? 0] as const],
    );
    const amounts = counted.length === 0 ? {} : { amounts: Object.fromEntries(counted) };
    return { provider: this.account, epoch, generation, sendByMs, grantedAtMs, amount: 1, ...amounts, parts };
  }

  private giveBack(parts: readonly Permit[]): void {
    for (const part of parts) {
      this.quotas.find(({ quota }) => quota.owns(part))?.quota.settle(part, { outcome: 'notSent' });
    }
  }

  /** The quota that a refusal is about: one that is nearly used up, else one whose period fits the wait, else the first. */
  private refusing(announced: Announcement | undefined): number {
    const waitMs = waitMsOf(announced);
    const indexes = [...this.quotas.keys()].toSorted((one, other) => this.periodMs(one) - this.periodMs(other));
    const nearly = indexes.filter((index) => (this.quotas[index]?.quota.usedPart ?? 0) >= NEARLY_USED_UP);
    const fits = (index: number): boolean => waitMs !== undefined && isFitting(this.periodMs(index), waitMs);
    return nearly.find(fits) ?? nearly[0] ?? indexes.find(fits) ?? 0;
  }

  private periodMs(index: number): number {
    const policy = this.quotas[index]?.policy;
    return policy === undefined ? 0 : periodMsOf(policy);
  }
}

function isFitting(periodMs: number, waitMs: number): boolean {
  return periodMs <= FITTING_PERIODS * (waitMs + ROUNDING_MS) && waitMs - ROUNDING_MS <= PERIODS_MAX * periodMs;
}

/** The longest wait of those that deny. */
function denialOf(reservations: readonly (Reservation | undefined)[]): Reservation {
  const denials = reservations.flatMap((reservation) => (reservation?.granted === false ? [reservation] : []));
  const waits = denials.flatMap((denial) => (denial.reason === 'unavailable' ? [] : [denial]));
  const [longest] = waits.toSorted((one, other) => other.waitMs - one.waitMs);
  if (longest === undefined || waits.length < denials.length) return { granted: false, reason: 'unavailable' };
  return longest;
}

/** What an answer says of one quota. The first one is also told what matches none. */
function partOf(settlement: Settlement, index: number): Settlement {
  if (!('announced' in settlement) || settlement.announced === undefined || index === 0) return settlement;
  const { announced } = settlement;
  const { retryAfterMs, emptyForMs, others } = announced;
  const waits =
    settlement.outcome === 'refused'
      ? { ...(retryAfterMs !== undefined && { retryAfterMs }), ...(emptyForMs !== undefined && { emptyForMs }) }
      : {};
  return { ...settlement, announced: { ...others?.[index - 1], ...waits } };
}

/** The state of the quota that decides: of closed ones the last to open, else the one with the fewest slots left. */
export function decidingState(states: readonly NamedQuotaState[]): NamedQuotaState | undefined {
  return states.toSorted((one, other) => closedMs(other) - closedMs(one) || left(one) - left(other))[0];
}

function closedMs({ state, waitMs }: QuotaState): number {
  return state === 'open' ? 0 : waitMs;
}

function left({ limit, used }: QuotaState): number {
  return limit - used;
}
