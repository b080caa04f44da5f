import { Inject, Injectable } from '@nestjs/common';
import type { QuotaReport } from '#contracts';
import { limitOf, Quota } from '#quota';
import { AccountHealth } from '../providers/account-health.service.js';
import { type Provider, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';

type AccountReport = QuotaReport['providers'][number];
type Standing = Pick<AccountReport['quotas'][number], 'state' | 'limit' | 'used' | 'remaining' | 'reopensAt'>;

const NO_LIMIT: Standing = { state: 'unlimited', limit: null, used: null, remaining: null, reopensAt: null };

/** How each provider account stands: its quota, and whether this pod has paused it. */
@Injectable()
export class QuotaReportService {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly quota: Quota,
    private readonly health: AccountHealth,
  ) {}

  async report(): Promise<QuotaReport> {
    const { currency, providers } = this.config;
    return { currency, providers: await Promise.all(providers.map((provider) => this.reportOf(provider))) };
  }

  private async reportOf(provider: Provider): Promise<AccountReport> {
    const { name, account, priceMicros, quota } = provider;
    const standing = await this.standingOf(provider);
    const quotas =
      quota === undefined
        ? []
        : [{ name: quota.policy, policy: quota.policy, unit: 'requests', ...standing, source: 'counted' as const }];
    const pause = this.health.pauseOf(provider);
    const paused = pause && { state: 'paused' as const, reason: pause.reason, reopensAt: isoIn(pause.waitMs) };
    return { name, account, priceMicros, reason: null, ...standing, ...paused, quotas };
  }

  private async standingOf({ account, quota }: Provider): Promise<Standing> {
    if (quota === undefined) return NO_LIMIT;
    const now = await this.quota.state(account);
    if (now === undefined) return { ...NO_LIMIT, state: 'unknown', limit: limitOf(quota) };
    const { limit, used, waitMs } = now;
    if (now.state === 'open') {
      return { state: 'open', limit, used, remaining: Math.max(0, limit - used), reopensAt: null };
    }
    return { state: 'blocked', limit, used, remaining: 0, reopensAt: isoIn(waitMs) };
  }
}

function isoIn(ms: number): string {
  return new Date(Date.now() + ms).toISOString();
}
