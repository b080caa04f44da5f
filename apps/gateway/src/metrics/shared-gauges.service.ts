import { Inject, Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import type { QuotaReport } from '#contracts';
import type { RedisConnection } from '#redis';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import { MessageQueries } from '../journal/message-queries.service.js';
import { BUDGET_KEYS, unpackBudget } from '../money/budget-store.js';
import { DEPLOYMENT } from '../money/ledger.service.js';
import { Spending } from '../money/spending.service.js';
import { PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { QUOTA_REDIS } from '../quota/quota-redis.js';
import { QuotaReportService } from '../quota/quota-report.service.js';
import { keptFor } from './kept-for.js';

/** How long the values of a scrape serve further scrapes. */
const KEPT_MS = 4_000;
const STATES = ['open', 'blocked', 'unlimited', 'paused', 'disabled', 'unknown'] as const;

type Account = QuotaReport['providers'][number];
type QuotaEntry = Account['quotas'][number];
type Value = [labels: Record<string, string>, value: number];

/**
 * Gauges of what all pods share in Redis and Postgres. Every pod reports the same values, so a query takes their maximum
 * and never their sum. They are read when Prometheus asks, and left out, or `NaN`, while the store does not answer.
 */
@Injectable()
export class SharedGauges {
  private readonly accounts = keptFor(KEPT_MS, async () => (await this.report.report()).providers);
  private readonly waiting = keptFor(KEPT_MS, () => this.queries.allWaiting());
  private readonly spent = keptFor(KEPT_MS, () => this.spentOfDeployment());

  constructor(
    @Inject(SETTINGS) private readonly settings: GatewaySettings,
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    @Inject(QUOTA_REDIS) private readonly redis: RedisConnection,
    private readonly report: QuotaReportService,
    private readonly queries: MessageQueries,
    private readonly spending: Spending,
  ) {
    this.defineAccounts();
    this.defineQuotas();
    this.defineWaiting();
    this.defineBudget();
  }

  private defineAccounts(): void {
    gauge(
      'octo_account_state',
      'State of a provider account: 1 for the state it is in, 0 for the others; the quota of all pods, the pauses of this one',
      ['provider', 'account', 'state'],
      async () => {
        const unknown = this.config.providers.map(({ name, account }) => ({ name, account, state: 'unknown' }));
        const accounts = (await this.accounts()) ?? unknown;
        return accounts.flatMap(({ name: provider, account, state }) =>
          STATES.map((each): Value => [{ provider, account, state: each }, each === state ? 1 : 0]),
        );
      },
    );
  }

  private defineQuotas(): void {
    const values = async (valueOf: (quota: QuotaEntry) => number | null): Promise<Value[]> =>
      ((await this.accounts()) ?? []).flatMap(({ account, quotas }) =>
        quotas.flatMap((quota): Value[] => {
          const value = valueOf(quota);
          return value === null ? [] : [[{ account, quota: quota.name, unit: quota.unit }, value]];
        }),
      );
    const labels = ['account', 'quota', 'unit'];
    gauge('octo_quota_limit', 'Limit in force of a quota', labels, () => values(({ limit }) => limit));
    gauge('octo_quota_used', 'What is used of a quota, by all pods', labels, () => values(({ used }) => used));
    gauge('octo_quota_remaining', 'What is left of a quota, for all pods', labels, () =>
      values(({ remaining }) => remaining),
    );
    gauge('octo_quota_reopens_timestamp_seconds', 'When a blocked quota reopens', labels, () =>
      values(({ reopensAt }) => (reopensAt === null ? null : Date.parse(reopensAt) / 1_000)),
    );
  }

  private defineWaiting(): void {
    gauge('octo_waiting_messages', 'Messages of all pods that wait for free quota, at most 10000', [], async () => [
      [{}, (await this.waiting())?.count ?? NaN],
    ]);
    gauge('octo_waiting_oldest_age_seconds', 'Age of the oldest of these messages; 0 if none waits', [], async () => [
      [{}, (await this.waiting())?.oldestAgeSeconds ?? NaN],
    ]);
  }

  /** The budgets of accounts have no metric: there may be any number of accounts. */
  private defineBudget(): void {
    const { BUDGET_DAY_MICROS: day, BUDGET_MONTH_MICROS: month } = this.settings;
    const { currency } = this.config;
    const limits = Object.entries({ day, month }).filter(([, limit]) => limit !== undefined);
    const labels = ['window', 'currency'];
    gauge('octo_budget_limit_micros', 'Limit of what the deployment may spend', labels, () =>
      Promise.resolve(limits.map(([window, limit = 0]) => [{ window, currency }, limit])),
    );
    gauge('octo_budget_spent_micros', 'What the deployment has spent of such a limit', labels, async () => {
      const spent = limits.length === 0 ? undefined : await this.spent();
      if (spent === undefined) return [];
      return limits.map(([window]) => [{ window, currency }, window === 'day' ? spent.dayMicros : spent.monthMicros]);
    });
  }

  /** As Redis counts it. Nothing was spent in a day or month that the count has not reached. */
  private async spentOfDeployment(): Promise<{ dayMicros: number; monthMicros: number }> {
    const counted = unpackBudget((await this.redis.hget(BUDGET_KEYS.spent, DEPLOYMENT)) ?? '');
    const today = this.spending.today().day;
    const isThisMonth = Math.floor(counted.day / 100) === Math.floor(today / 100);
    return {
      dayMicros: counted.day === today ? counted.dayMicros : 0,
      monthMicros: isThisMonth ? counted.monthMicros : 0,
    };
  }
}

/** A gauge whose series are those that `read` returns at a scrape. */
function gauge(name: string, help: string, labelNames: string[], read: () => Promise<Value[]>): void {
  new Gauge({
    name,
    help,
    labelNames,
    async collect() {
      const values = await read();
      this.reset();
      for (const [labels, value] of values) this.set(labels, value);
    },
  });
}
