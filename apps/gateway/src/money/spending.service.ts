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
import { type BudgetDay, budgetDayAt, dayOf } from './budget-day.js';
import { type BudgetOperation, type BudgetResult, BudgetStore, type ExpiredHold } from './budget-store.js';
import type { LedgerEntry } from './ledger-entries.js';
import { DEPLOYMENT, Ledger } from './ledger.service.js';
import { exhausted, type Limit, limitsOf, type SpendingDenial, storedLimit } from './limits.js';
import { UsualCosts } from './usual-costs.js';

/** What this pod holds for a message. */
interface Hold {
  budgets: readonly string[];
  /** Of each attempt that may still be charged. */
  micros: number[];
}

/**
 * Beyond the timeouts: a hold that is older belongs to a pod that is dead, or that waits for Postgres. Other pods leave a hold
 * that one pod settles alone for as long.
 */
const HOLD_MARGIN_MS = 10_000;
/** A hold needs more than one operation if the clock is wrong, or if a budget must be read from the ledger. */
const TRIES = 6;
/** Until another pod finds a claim that has expired. */
const TAKE_OVER_MS = 2_000;
/** How long a waiting message waits before its rights and budgets are looked at again. */
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
  private readonly reading = new Map<string, Promise<boolean>>();
  /** The clock of Redis, which decides which day it is, less the clock of this pod. */
  private clockOffsetMs = 0;
  private day: BudgetDay | undefined;
  /** Paid for without a count since Redis stopped answering. */
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

  async onApplicationShutdown(): Promise<void> {
    await this.store.close();
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
      rights = this.rights.fresh(message.accountId) ?? (await this.rights.read(message.accountId));
    } catch {
      return UNKNOWN;
    }
    if (!rights.paidAccess && !isRepeat(message, provider))
      return { granted: false, reason: 'no_paid_access', waitMs: LOOK_AGAIN_MS };
    const limits = this.limitsOf(message.accountId, rights.budget);
    if (limits.length > 0) return this.holdIn(limits, message, provider);
    // The budgets of an earlier attempt were lifted: the release of this one must not end that hold.
    return this.holds.has(message.id) ? this.noteHold(message, limits, 0) : undefined;
  }

  /** The provider did not take the message: its price is not held any longer. */
  release({ id }: Pick<Message, 'id'>): void {
    const hold = this.holds.get(id);
    const micros = hold?.micros.pop();
    if (hold === undefined || micros === undefined) return;
    if (hold.micros.length === 0) this.holds.delete(id);
    if (micros > 0) this.store.later({ op: 'release', message: id, micros });
  }

  /** It is not known whether the provider takes the message: what is held is settled from the journal when the hold expires. */
  forget({ id }: Pick<Message, 'id'>): void {
    this.holds.delete(id);
  }

  /** A message has ended, and the ledger has these entries for it. */
  settle({ id, accountId }: Pick<Message, 'id' | 'accountId'>, entries: readonly LedgerEntry[]): void {
    for (const { kind, provider, account, micros } of entries) {
      if (kind === 'paid') this.usualCosts.note({ provider, account, micros });
    }
    // A message of another pod: that one held its price.
    const budgets = this.holds.get(id)?.budgets ?? (entries.length > 0 ? this.budgetsOf(accountId) : []);
    this.holds.delete(id);
    if (budgets.length === 0) return;
    const micros = entries.reduce((sum, entry) => sum + entry.micros, 0);
    const day = entries[0] === undefined ? this.today().day : dayOf(entries[0].day);
    this.store.later({ op: 'settle', message: id, micros, day, budgets, onlyIfHeld: false });
  }

  /** Counts what the ledger has, where no gateway settles it. */
  settleFromLedger(settlement: Omit<Extract<BudgetOperation, { op: 'settle' }>, 'op'>): void {
    this.store.later({ op: 'settle', ...settlement });
  }

  /**
   * Takes holds that should have been settled by now, for some seconds. The answer also tells the clock of Redis.
   * @throws Error when Redis does not answer
   */
  async takeExpiredHolds(count: number): Promise<ExpiredHold[]> {
    const result = await this.store.run({ op: 'expired', count, expiresInMs: HOLD_MARGIN_MS });
    if (result.result !== 'expired') return [];
    this.clockOffsetMs = result.nowMs - Date.now();
    return result.messages;
  }

  /** All that may count a message of an account: Redis ignores those that it does not know. */
  private budgetsOf(accountId: string): string[] {
    const rights = this.rights.fresh(accountId);
    if (rights === undefined) return [accountId, DEPLOYMENT];
    return this.limitsOf(accountId, rights.budget).map(({ id }) => id);
  }

  private limitsOf(accountId: string, budget: Budget): Limit[] {
    const { BUDGET_DAY_MICROS: dayMicros = null, BUDGET_MONTH_MICROS: monthMicros = null } = this.settings;
    return limitsOf(accountId, budget, { dayMicros, monthMicros });
  }

  private async holdIn(
    limits: readonly Limit[],
    message: Message,
    provider: Provider,
  ): Promise<SpendingDenial | undefined> {
    const micros = this.usualCosts.estimate(provider);
    const repeats = isRepeat(message, provider);
    for (let tries = TRIES; tries > 0; tries -= 1) {
      const { day, startMs, endMs, monthEndMs } = this.today();
      const operation = {
        op: 'hold',
        message: message.id,
        micros,
        priceMicros: provider.priceMicros,
        isRepeat: repeats,
        expiresInMs: this.longestFlightMs() + HOLD_MARGIN_MS,
        day,
        dayStartMs: startMs,
        dayEndMs: endMs,
        limits: limits.map(storedLimit),
        paidFor: paidFor(message, provider),
      } as const;
      let result: BudgetResult;
      try {
        result = await this.store.run(operation);
      } catch (error) {
        this.outage.failed({ reason: error instanceof Error ? error.message : String(error) });
        // Redis may have carried it out before it stopped answering. An earlier hold of the message stays as it is.
        const isFirst = !repeats && !this.holds.has(message.id);
        if (isFirst) this.store.later({ op: 'release', message: message.id, micros });
        return this.holdWithoutCount(message, limits, micros);
      }
      this.outage.recovered();
      this.uncountedMicros = 0;
      // What is held for a repetition may have been charged already: it is settled, and never released.
      const releasable = repeats ? 0 : micros;
      if (result.result === 'ok' || result.result === 'held') return this.noteHold(message, limits, releasable);
      if (result.result === 'closed') return { ...UNKNOWN, waitMs: result.waitMs };
      if (result.result === 'exhausted') {
        return exhausted(limits, result, { endMs, monthEndMs, nowMs: Date.now() + this.clockOffsetMs });
      }
      if (result.result === 'clock') this.clockOffsetMs = result.nowMs - Date.now();
      if (result.result === 'unknown' && !(await this.readLedger(result.budget))) return UNKNOWN;
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

  /** Reads what was spent in a budget that Redis does not know. @returns whether Redis and Postgres answered */
  private readLedger(budget: string): Promise<boolean> {
    const running = this.reading.get(budget) ?? this.readLedgerNow(budget).finally(() => this.reading.delete(budget));
    this.reading.set(budget, running);
    return running;
  }

  private async readLedgerNow(budget: string): Promise<boolean> {
    const { day } = this.today();
    try {
      const { result } = await this.store.run({ op: 'read', budget, day });
      if (result === 'ready') return true;
      await this.store.run({ op: 'found', budget, day, ...(await this.ledger.spent(budget, day)) });
      return true;
    } catch {
      // The journal logs that Postgres is down, the next hold that Redis is.
      return false;
    }
  }

  /**
   * In this time every message that is in flight now is recorded, or taken over. A provider that honours idempotency keys is
   * asked twice.
   */
  private longestFlightMs(): number {
    const { providers } = this.config;
    const paid = providers.filter((provider) => !isFree(provider));
    const twice = paid.filter(({ idempotent }) => idempotent);
    return Math.max(claimMsOf([...paid, ...twice]), claimMsOf(providers) + TAKE_OVER_MS);
  }
}

const UNKNOWN: SpendingDenial = { granted: false, reason: 'budget_unknown', waitMs: 1_000 };

/** This provider may have delivered the message, and charged for it. */
function isRepeat({ onlyProvider }: Message, { key }: Provider): boolean {
  return onlyProvider === key;
}

function paidFor({ accountId, channel }: Message, { name, account, currency }: Provider): string {
  return JSON.stringify({ accountId, channel, provider: name, account, currency });
}
