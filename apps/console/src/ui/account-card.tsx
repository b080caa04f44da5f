import type { JSX } from 'preact';
import type { QuotaReport } from '#contracts';
import { money } from '../i18n/format.js';
import { t, textOfCode } from '../i18n/i18n.js';
import { Badge, type Tone } from './badge.js';
import { Gauge, Unlimited } from './gauge.js';
import type { IconName } from './icon.js';
import { Countdown } from './time.js';

type Account = QuotaReport['providers'][number];
/** What a gauge shows of a quota. */
type Standing = Pick<Account, 'limit' | 'used' | 'remaining' | 'reopensAt'> & {
  name: string;
  unit: string | undefined;
  state: string;
  source: string | undefined;
};

const LOOKS: Record<string, [Tone, IconName]> = {
  open: ['free', 'check'],
  unlimited: ['plain', 'check'],
  blocked: ['waiting', 'clock'],
  paused: ['bad', 'pause'],
  disabled: ['plain', 'block'],
  unknown: ['doubtful', 'question'],
};

/** One provider account: its price, its state, and a gauge for each of its quotas. */
export function AccountCard({ account, currency }: { account: Account; currency: string }): JSX.Element {
  const standings = standingsOf(account);
  const [tone, icon] = LOOKS[account.state] ?? ['plain', 'question'];
  return (
    <article class="card account" aria-label={account.account}>
      <header>
        <h3>{account.account}</h3>
        <Badge tone={tone} icon={icon}>
          {textOfCode('state', account.state) ?? account.state}
        </Badge>
      </header>
      <p class="quiet">
        {account.priceMicros === 0 ? t('price.free') : t('price.each', { price: money(account.priceMicros, currency) })}
      </p>
      <div class="gauges">
        {standings.map((standing) => (
          <QuotaGauge key={standing.name} standing={standing} account={account.account} />
        ))}
        {standings.length === 0 && (
          <div class="quota">
            <Unlimited />
            <p>{t('quota.unlimited')}</p>
          </div>
        )}
      </div>
      {account.reason && <p class="field-error">{account.reason}</p>}
      {account.state === 'paused' && account.reopensAt && (
        <p class="quiet">
          {t('alert.probe')} <Countdown to={account.reopensAt} />
        </p>
      )}
    </article>
  );
}

function QuotaGauge({ standing, account }: { standing: Standing; account: string }): JSX.Element {
  const { name, unit, state, limit, used, reopensAt, source } = standing;
  if (limit === null || used === null) {
    return (
      <div class="quota">
        <Unlimited />
        <p>{textOfCode('state', state) ?? state}</p>
      </div>
    );
  }
  const [tone] = LOOKS[state] ?? ['plain'];
  return (
    <div class="quota">
      <Gauge used={used} limit={limit} label={`${account}: ${name}`} tone={tone} />
      <div>
        <p>{t('quota.used', { used, limit, unit: textOfCode('unit', unit ?? 'requests') ?? unit ?? '' })}</p>
        {state === 'blocked' && reopensAt !== null ? (
          <p class="reopens">
            {t('quota.reopens')} <Countdown to={reopensAt} />
          </p>
        ) : (
          <p class="quiet">{t('quota.remaining', { count: Math.max(0, limit - used) })}</p>
        )}
        <p class="quiet">
          {textOfCode('policy', name) ?? name}
          {source !== undefined && source !== 'counted' && ` · ${textOfCode('source', source) ?? source}`}
        </p>
      </div>
    </div>
  );
}

/** A gateway of an earlier release has one quota for each account, and no list of quotas. */
function standingsOf(account: Partial<Account> & Pick<Account, 'name'>): Standing[] {
  const { quotas, state = 'unknown', limit = null, used = null, remaining = null, reopensAt = null } = account;
  if (quotas !== undefined) return [...quotas];
  if (state === 'unlimited') return [];
  return [{ name: account.name, unit: undefined, state, limit, used, remaining, reopensAt, source: undefined }];
}
