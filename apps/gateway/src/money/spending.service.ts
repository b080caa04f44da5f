import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { Budget } from '#contracts';
import type { RedisConnection } from '#redis';
import { OutageLog } from '#service';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import type { Message } from '../message.js';
import { type Provider, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { QUOTA_REDIS } from '../quota/quota-redis.js';
import { isFree } from '../routing/choose-route.js';
import { claimMsOf } from '../routing/deadlines.js';
import { type AccountRights, AccountRightsService } from './account-rights.service.js';
import { type BudgetDay, budgetDayAt } from './budget-day.js';
import { type BudgetOperation, BudgetStore, type ExpiredHold, type StoredLimit } from './budget-store.js';
import type { LedgerEntry } from './ledger-entries.js';
import { DEPLOYMENT, Ledger } from './ledger.service.js';
import { UsualCosts } from './usual-costs.js';

/** A limit that would be exceeded. */
export interface ReachedLimit {
  scope: 'account' | 'deployment';
  window: 'day' | 'month';
  limitMicros: number;
  /** Unix time in milliseconds. */
  resetsAtMs: number;
}

/** Why a message may not be paid for now. */
export type SpendingDenial = { granted: false; waitMs: number } & (
  { reason: 'no_paid_access' } | { reason: 'budget'; limit: ReachedLimit } | { reason: 'budget_unknown' }
);

/** What this pod holds for a message. */
interface Hold {
  budgets: readonly string[];
  /** Of each attempt that may still be charged. */
  micros: number[];
}

/** Beyond the timeouts: a hold that is older belongs to a pod that is dead, or that waits for Postgres. */
const HOLD_MARGIN_MS = 10_000;
/** A hold needs more than one operation if the clock is wrong, or if a budget must be read from the ledger. */
const TRIES = 6;
/** The rights of an account may change at any time. */
export const LOOK_AGAIN_MS = 60_000;

/**
 * Decides at the moment of spending whether a message may be paid for. While it is in flight its price is held in the
 * budgets of its account and of the deployment; when its end is in the ledger, its true cost takes the place of the hold.
 */
@Injectable()
export class Spending implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly outage = new OutageLog(new Logger('budgets'), {
    failed: 'budgets cannot be counted, accounts with a budget cannot pay',
    recovered: 'budgets are counted again',
  });
  private readonly store: BudgetStore;
  private readonly holds = new Map<string, Hold>();
  private readonly usualCosts = new UsualCosts();
  private readonly reading = new Map<string, Promise<void>>();
  /** The clock of Redis decides which day it is. */
  private clockOffsetMs = 0;
  private day: BudgetDay | undefined;
  /** Paid for without a count since Redis stopped to answer. */
  private uncountedMicros = 0;

  constructor(
    @Inject(QUOTA_REDIS) redis: RedisConnection,
    @Inject(SETTINGS) private readonly settings: GatewaySettings,
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly rights: AccountRightsService,
    private readonly ledger: Ledger,
  ) {
    this.store = new BudgetStore(redis, () => this.longestFlightMs());
  }

  async onApplicationBootstrap(): Promise<void> {
    // Where this fails, the first hold finds Redis empty and waits.
    await this.ledger
      .isFirstStart()
      .then((isFirst) => this.store.run({ op: 'open', waitMs: isFirst ? 0 : this.longestFlightMs() }))
      .catch(() => {});
  }

  /** What was not settled is settled from the journal, by another pod. */
  onApplicationShutdown(): void {
    this.store.close();
  }

  /** The current day of the budgets. */
  today(): BudgetDay {
    const nowMs = Date.now() + this.clockOffsetMs;
    if (this.day === undefined || nowMs >= this.day.endMs || nowMs < this.day.startMs) {
      this.day = budgetDayAt(this.settings.BUDGET_TIME_ZONE, nowMs);
    }
    return this.day;
  }

  /** Holds the price of a message. @returns why it may not be paid for, or undefined */
  async hold(message: Message, provider: Provider): Promise<SpendingDenial | undefined> {
    let rights: AccountRights;
    try {
      rights = this.rights.fresh(message.accountId) ?? (await this.rights.of(message.accountId));
    } catch {
      return UNKNOWN;
    }
    if (!rights.paidAccess && !isRepeat(message, provider))
      return { granted: false, reason: 'no_paid_access', waitMs: LOOK_AGAIN_MS };
    const limits = this.limitsOf(message.accountId, rights.budget);
    return limits.length === 0 ? undefined : this.holdIn(limits, message, provider);
  }

  /** The provider did not take the message: its price is not held any longer. */
  release({ id }: Pick<Message, 'id'>): void {
    const hold = this.holds.get(id);
    const micros = hold?.micros.pop();
    if (hold === undefined || micros === undefined) return;
    if (hold.micros.length === 0) this.holds.delete(id);
    this.store.later({ op: 'release', message: id, micros });
  }

  /** A message has ended, and the ledger has these entries for it. */
  settle(id: string, entries: readonly LedgerEntry[]): void {
    for (const { kind, provider, account, micros } of entries) {
      if (kind === 'paid') this.usualCosts.note({ provider, account, micros });
    }
    const hold = this.holds.get(id);
    if (hold === undefined) return;
    this.holds.delete(id);
    const micros = entries.reduce((sum, entry) => sum + entry.micros, 0);
    const day = entries[0] === undefined ? this.today().day : Number(entries[0].day.replaceAll('-', ''));
    this.store.later({ op: 'settle', message: id, micros, day, budgets: hold.budgets, onlyIfHeld: false });
  }

  /** What a message cost, where its gateway cannot settle it. */
  settleFor(settlement: Omit<Extract<BudgetOperation, { op: 'settle' }>, 'op'>): void {
    this.store.later({ op: 'settle', ...settlement });
  }

  /**
   * What should have been settled by now, and the clock of Redis, which this pod follows.
   * @throws Error when Redis does not answer
   */
  async expiredHolds(count: number): Promise<ExpiredHold[]> {
    const result = await this.store.run({ op: 'expired', count, expiresInMs: HOLD_MARGIN_MS });
    if (result.result !== 'expired') return [];
    this.clockOffsetMs = result.nowMs - Date.now();
    return result.messages;
  }

  private limitsOf(accountId: string, budget: Budget): Limit[] {
    const { BUDGET_DAY_MICROS: dayMicros = null, BUDGET_MONTH_MICROS: monthMicros = null } = this.settings;
    const limits: Limit[] = [];
    if (isLimited(budget)) limits.push({ id: accountId, scope: 'account', ...budget });
    if (isLimited({ dayMicros, monthMicros }))
      limits.push({ id: DEPLOYMENT, scope: 'deployment', dayMicros, monthMicros });
    return limits;
  }

  private async holdIn(
    limits: readonly Limit[],
    message: Message,
    provider: Provider,
  ): Promise<SpendingDenial | undefined> {
    const micros = this.usualCosts.estimate(provider);
    for (let tries = TRIES; tries > 0; tries -= 1) {
      const { day, startMs, endMs, monthEndMs } = this.today();
      const operation = {
        op: 'hold',
        message: message.id,
        micros,
        isRepeat: isRepeat(message, provider),
        expiresInMs: this.longestFlightMs() + HOLD_MARGIN_MS,
        day,
        dayStartMs: startMs,
        dayEndMs: endMs,
        limits: limits.map(storedLimit),
        paidFor: paidFor(message, provider),
      } as const;
      try {
        const result = await this.store.run(operation);
        this.outage.recovered();
        this.uncountedMicros = 0;
        if (result.result === 'ok') return this.noteHold(message, limits, micros);
        if (result.result === 'closed') return { ...UNKNOWN, waitMs: result.waitMs };
        if (result.result === 'clock') this.clockOffsetMs = result.nowMs - Date.now();
        else if (result.result === 'unknown') await this.readLedger(result.budget);
        else if (result.result === 'exhausted') {
          return exhausted(limits, result, { dayEndMs: endMs, monthEndMs, nowMs: Date.now() + this.clockOffsetMs });
        }
      } catch (error) {
        this.outage.failed({ reason: error instanceof Error ? error.message : String(error) });
        // Redis may have carried it out before it stopped to answer.
        this.store.later({ op: 'release', message: message.id, micros });
        return this.holdWithoutCount(message, limits, micros);
      }
    }
    return UNKNOWN;
  }

  private noteHold({ id }: Message, limits: readonly Limit[], micros: number): undefined {
    const hold = this.holds.get(id);
    if (hold === undefined) this.holds.set(id, { budgets: limits.map((limit) => limit.id), micros: [micros] });
    else hold.micros.push(micros);
  }

  private holdWithoutCount(message: Message, limits: readonly Limit[], micros: number): SpendingDenial | undefined {
    if (this.uncountedMicros + micros > this.settings.BUDGET_UNCOUNTED_MICROS) return UNKNOWN;
    this.uncountedMicros += micros;
    return this.noteHold(message, limits, micros);
  }

  /** Reads what was spent in a budget that Redis does not know. @throws when Redis or Postgres does not answer */
  private readLedger(budget: string): Promise<void> {
    const running = this.reading.get(budget) ?? this.readLedgerNow(budget).finally(() => this.reading.delete(budget));
    this.reading.set(budget, running);
    return running;
  }

  private async readLedgerNow(budget: string): Promise<void> {
    const { day } = this.today();
    const { result } = await this.store.run({ op: 'read', budget, day });
    if (result === 'ready') return;
    await this.store.run({ op: 'found', budget, day, ...(await this.ledger.spent(budget, day)) });
  }

  /** In this time every message that is in flight now is recorded. */
  private longestFlightMs(): number {
    return claimMsOf(this.config.providers.filter((provider) => !isFree(provider)));
  }
}

interface Limit extends Budget {
  id: string;
  scope: ReachedLimit['scope'];
}

const UNKNOWN: SpendingDenial = { granted: false, reason: 'budget_unknown', waitMs: 1_000 };

/** This provider may have delivered the message, and charged for it. */
function isRepeat({ onlyProvider }: Message, { key }: Provider): boolean {
  return onlyProvider === key;
}

function isLimited({ dayMicros, monthMicros }: Budget): boolean {
  return dayMicros !== null || monthMicros !== null;
}

function storedLimit({ id, dayMicros, monthMicros }: Limit): StoredLimit {
  return { id, ...(dayMicros !== null && { dayMicros }), ...(monthMicros !== null && { monthMicros }) };
}

function paidFor({ accountId, channel }: Message, { name, account, currency }: Provider): string {
  return JSON.stringify({ accountId, channel, provider: name, account, currency });
}

function exhausted(
  limits: readonly Limit[],
  { budget, window }: { budget: string; window: 'day' | 'month' },
  { dayEndMs, monthEndMs, nowMs }: { dayEndMs: number; monthEndMs: number; nowMs: number },
): SpendingDenial {
  const limit = limits.find(({ id }) => id === budget);
  const limitMicros = (window === 'day' ? limit?.dayMicros : limit?.monthMicros) ?? 0;
  const resetsAtMs = window === 'day' ? dayEndMs : monthEndMs;
  const reached = { scope: limit?.scope ?? 'deployment', window, limitMicros, resetsAtMs };
  return { granted: false, reason: 'budget', limit: reached, waitMs: Math.max(0, resetsAtMs - nowMs) };
}
