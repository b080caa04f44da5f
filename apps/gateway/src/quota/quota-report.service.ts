import { Inject, Injectable } from '@nestjs/common';
import type { QuotaReport } from '#contracts';
import { decidingState, type LimitedPolicy, limitOf, type NamedQuotaState, Quota } from '#quota';
import { AccountHealth } from '../providers/account-health.service.js';
import { ProviderSwitches } from '../providers/provider-switches.service.js';
import { type AccountQuota, type Provider, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';

type AccountReport = QuotaReport['providers'][number];
type QuotaEntry = AccountReport['quotas'][number];
type Standing = Pick<QuotaEntry, 'state' | 'limit' | 'used' | 'remaining' | 'reopensAt'>;

/** Why all pods hold an account back; a pod has reasons of its own in `AccountHealth`. */
const HELD = 'the provider refused a request although its quota should have room';

const NO_LIMIT: Standing = { state: 'unlimited', limit: null, used: null, remaining: null, reopensAt: null };

/** How each provider account stands: its quotas, and whether this pod has paused it. */
@Injectable()
export class QuotaReportService {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    private readonly quota: Quota,
    private readonly health: AccountHealth,
    private readonly switches: ProviderSwitches,
  ) {}

  async report(): Promise<QuotaReport> {
    const { currency, providers } = this.config;
    return { currency, providers: await Promise.all(providers.map((provider) => this.reportOf(provider))) };
  }

  private async reportOf(provider: Provider): Promise<AccountReport> {
    const { name, account, priceMicros } = provider;
    const { standing, quotas, isHeld } = await this.standingOf(provider);
    const pause = this.health.pauseOf(provider);
    const held = isHeld && { state: 'paused' as const, reason: HELD };
    const paused = pause && { state: 'paused' as const, reason: pause.reason, reopensAt: isoIn(pause.waitMs) };
    return {
      name,
      account,
      priceMicros,
      reason: null,
      ...standing,
      ...held,
      ...paused,
      ...this.switchedOff(provider),
      quotas,
    };
  }

  private switchedOff(provider: Provider): Pick<AccountReport, 'state' | 'reason' | 'reopensAt'> | undefined {
    const state = this.switches.stateOf(provider);
    return state === 'enabled' ? undefined : { state: 'disabled', reason: `${state} by an admin`, reopensAt: null };
  }

  private async standingOf({
    account,
    quotas,
  }: Provider): Promise<{ standing: Standing; quotas: QuotaEntry[]; isHeld: boolean }> {
    const [first] = quotas;
    if (first === undefined) return { standing: NO_LIMIT, quotas: [], isHeld: false };
    const states = await this.quota.states(account);
    if (states === undefined) {
      const unknown = quotas.map((quota) => entryOf({ ...quota, source: 'counted' }, unknownOf(quota.policy)));
      return { standing: unknownOf(first.policy), quotas: unknown, isHeld: false };
    }
    const deciding = decidingState(states);
    const isHeld = states.some((state) => state.isHeld);
    const entries = states.map((state) => entryOf(state, standingAt(state)));
    return { standing: deciding === undefined ? NO_LIMIT : standingAt(deciding), quotas: entries, isHeld };
  }
}

function entryOf(
  { name, policy, unit, source }: Pick<AccountQuota, 'name' | 'policy' | 'unit'> & Pick<QuotaEntry, 'source'>,
  standing: Standing,
): QuotaEntry {
  return { name: name ?? policy.policy, policy: policy.policy, unit, ...standing, source };
}

function unknownOf(policy: LimitedPolicy): Standing {
  return { ...NO_LIMIT, state: 'unknown', limit: limitOf(policy) };
}

function standingAt({ state, limit, used, waitMs }: NamedQuotaState): Standing {
  if (state === 'open') return { state, limit, used, remaining: Math.max(0, limit - used), reopensAt: null };
  return { state: 'blocked', limit, used, remaining: 0, reopensAt: isoIn(waitMs) };
}

function isoIn(ms: number): string {
  return new Date(Date.now() + ms).toISOString();
}
