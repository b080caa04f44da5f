import { Inject, Injectable } from '@nestjs/common';
import type { QuotaReport } from '#contracts';
import { limitOf, Quota } from '#quota';
import { type Provider, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';

type ProviderReport = QuotaReport['providers'][number];

@Injectable()
export class QuotaReportService {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly quota: Quota,
  ) {}

  async report(): Promise<QuotaReport> {
    const { currency, providers } = this.config;
    return { currency, providers: await Promise.all(providers.map((provider) => this.reportOf(provider))) };
  }

  private async reportOf({ name, priceMicros, quota }: Provider): Promise<ProviderReport> {
    const nothing = { name, priceMicros, limit: null, used: null, remaining: null, reopensAt: null };
    if (quota === undefined) return { ...nothing, state: 'unlimited' };
    const now = await this.quota.state(name);
    if (now === undefined) return { ...nothing, state: 'unknown', limit: limitOf(quota) };
    const { limit, used } = now;
    if (now.state === 'open') {
      return { ...nothing, state: 'open', limit, used, remaining: Math.max(0, limit - used) };
    }
    const reopensAt = new Date(Date.now() + now.waitMs).toISOString();
    return { ...nothing, state: 'blocked', limit, used, remaining: 0, reopensAt };
  }
}
