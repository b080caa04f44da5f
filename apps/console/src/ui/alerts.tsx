import type { JSX } from 'preact';
import { connection, latest } from '../api/live.js';
import { t, textOfCode } from '../i18n/i18n.js';
import { Icon, type IconName } from './icon.js';
import { Countdown } from './time.js';

/** What an operator should look at now. Nothing when all is well. A screen reader says new alerts, not countdowns. */
export function Alerts(): JSX.Element {
  const event = latest.value;
  const paused = event?.quota.providers.filter(({ state }) => state === 'paused') ?? [];
  return (
    <div class="alerts" aria-live="polite" aria-relevant="additions">
      {connection.value === 'lost' && <Alert icon="warning">{t('alert.lost')}</Alert>}
      {event?.missing.map(({ name, reason }) => (
        <Alert key={name} icon="warning">
          {textOfCode('alert.missing', name) ?? `${name} ${reason}`}
        </Alert>
      ))}
      {paused.map(({ account, reason, reopensAt }) => (
        <Alert key={account} icon="pause">
          {t('alert.paused', { account, reason: reason ?? '' })}{' '}
          {reopensAt && (
            <>
              {t('alert.probe')} <Countdown to={reopensAt} />
            </>
          )}
        </Alert>
      ))}
    </div>
  );
}

function Alert({
  icon,
  children,
}: {
  icon: IconName;
  children: JSX.Element | string | (JSX.Element | string | null)[];
}): JSX.Element {
  return (
    <div class="notice tone-bad">
      <Icon name={icon} />
      <p>{children}</p>
    </div>
  );
}
