import type { JSX } from 'preact';
import type { Usage } from '#contracts';
import { money, number } from '../i18n/format.js';
import { t } from '../i18n/i18n.js';

export function UsageFigures({ usage }: { usage: Usage }): JSX.Element {
  const { free, paid, savedMicros, currency } = usage;
  return (
    <dl class="figures">
      <Figure label={t('figures.free')} value={number(free.count)} tone="free" />
      <Figure label={t('figures.paid')} value={number(paid.count)} tone="paid" />
      <Figure label={t('figures.spent')} value={money(paid.costMicros, currency)} tone="paid" />
      <Figure label={t('figures.saved')} value={money(savedMicros, currency)} tone="free" />
    </dl>
  );
}

function Figure({ label, value, tone }: { label: string; value: string; tone: string }): JSX.Element {
  return (
    <div class={`card figure tone-${tone}`}>
      <dt>{label}</dt>
      <dd class="number">{value}</dd>
    </div>
  );
}
