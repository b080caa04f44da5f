import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { latest } from '../api/live.js';
import { followUsage, today } from '../api/usage.js';
import { t } from '../i18n/i18n.js';
import { Link } from '../router.js';
import { AccountCard } from '../ui/account-card.js';
import { Chart } from '../ui/chart.js';
import { Empty, Loading } from '../ui/states.js';
import { UsageFigures } from '../ui/usage-figures.js';

export function OverviewPage(): JSX.Element {
  useEffect(followUsage, []);
  return (
    <>
      <Figures />
      <section aria-labelledby="accounts-title">
        <h2 id="accounts-title">{t('overview.accounts')}</h2>
        <Accounts />
      </section>
      <section class="card" aria-labelledby="chart-title">
        <h2 id="chart-title">{t('overview.chart')}</h2>
        <Chart />
      </section>
    </>
  );
}

export function Accounts(): JSX.Element {
  const quota = latest.value?.quota;
  if (quota === undefined) return <Loading />;
  if (quota.providers.length === 0) return <Empty icon="inbox" title={t('overview.noAccounts')} />;
  return (
    <div class="accounts">
      {quota.providers.map((account, index) => (
        <AccountCard key={`${account.account} ${index}`} account={account} currency={quota.currency} />
      ))}
    </div>
  );
}

function Figures(): JSX.Element {
  const usage = today.value;
  if (usage === undefined) return <Loading />;
  const { free, paid } = usage;
  return (
    <section aria-labelledby="figures-title">
      <h2 id="figures-title">{t('figures.today')}</h2>
      <UsageFigures usage={usage} />
      <p class="quiet">
        {t('figures.savedHint')} {free.count + paid.count === 0 && <Link to="/send">{t('figures.sendOne')}</Link>}
      </p>
    </section>
  );
}
