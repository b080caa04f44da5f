import type { JSX } from 'preact';
import { latest } from '../../api/live.js';
import { money, number } from '../../i18n/format.js';
import { t } from '../../i18n/i18n.js';
import { Badge, type Tone } from '../../ui/badge.js';
import type { IconName } from '../../ui/icon.js';
import { describeError, Empty } from '../../ui/states.js';
import { Countdown } from '../../ui/time.js';
import { clearSent, selected, type Sent, sent, type SentState } from './sent.js';

const LOOKS: Record<SentState, [Tone, IconName]> = {
  sending: ['plain', 'send'],
  free: ['free', 'check'],
  paid: ['paid', 'coin'],
  waiting: ['waiting', 'clock'],
  refused: ['bad', 'block'],
  failed: ['bad', 'warning'],
};
const COUNTED = ['free', 'paid', 'waiting', 'refused', 'failed'] as const;

/** How many messages of this page went which way, what they cost, and when free quota reopens. */
export function Summary(): JSX.Element {
  const all = sent.value;
  const currency = latest.value?.quota.currency ?? 'USD';
  if (all.length === 0) return <Empty icon="send" title={t('send.nothing')} />;
  const costMicros = all.reduce((sum, one) => sum + one.costMicros, 0);
  return (
    <section class="card" aria-labelledby="sent-title">
      <div class="card-head">
        <h2 id="sent-title">{t('send.sent')}</h2>
        <button type="button" class="button" onClick={clearSent}>
          {t('send.clear')}
        </button>
      </div>
      <ul class="summary" aria-live="polite">
        {COUNTED.map((state) => {
          const count = all.filter((one) => one.state === state).length;
          return count === 0 ? null : (
            <li key={state} class={`tone-${LOOKS[state][0]}`}>
              <strong class="number">{number(count)}</strong> {t(`sent.${state}`, { count })}
            </li>
          );
        })}
        <li class="cost">
          <strong class="number">{money(costMicros, currency)}</strong> {t('send.cost')}
        </li>
      </ul>
      <Reopening />
      <ol class="sent" reversed>
        {all.map((one) => (
          <Row key={one.number} one={one} currency={currency} />
        ))}
      </ol>
    </section>
  );
}

function Reopening(): JSX.Element {
  const free =
    latest.value?.quota.providers.filter(({ priceMicros, state }) => priceMicros === 0 && state === 'blocked') ?? [];
  return (
    <>
      {free.map(({ account, reopensAt }) => (
        <p key={account} class="reopens">
          {t('send.blocked', { account })} {reopensAt !== null && <Countdown to={reopensAt} />}
        </p>
      ))}
    </>
  );
}

function Row({ one, currency }: { one: Sent; currency: string }): JSX.Element {
  const { number: place, state, account, costMicros, error } = one;
  const [tone, icon] = LOOKS[state];
  const isSelected = selected.value === place;
  return (
    <li>
      <button type="button" class="sent-row" aria-pressed={isSelected} onClick={() => (selected.value = place)}>
        <span class="quiet number">{place}</span>
        <Badge tone={tone} icon={icon}>
          {t(`sent.one.${state}`)}
        </Badge>
        <span class="sent-account">{error === undefined ? account : describeError(error)}</span>
        <span class="number">{state === 'paid' && money(costMicros, currency)}</span>
      </button>
    </li>
  );
}
