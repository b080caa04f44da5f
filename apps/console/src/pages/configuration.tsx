import type { JSX } from 'preact';
import type { ChannelList } from '#contracts';
import { api } from '../api/client.js';
import { latest } from '../api/live.js';
import { money } from '../i18n/format.js';
import { t, textOfCode } from '../i18n/i18n.js';
import { Failure, Loading } from '../ui/states.js';
import { useLoaded } from '../ui/use-loaded.js';

/** The providers file in force, as far as a caller may see it. */
export function ConfigurationPage(): JSX.Element {
  const { loaded, reload } = useLoaded(api.channels, '');
  return (
    <>
      <p class="quiet">{t('configuration.text')}</p>
      <section aria-labelledby="channels-title">
        <h2 id="channels-title">{t('configuration.channels')}</h2>
        {loaded.state === 'loading' && <Loading />}
        {loaded.state === 'failed' && <Failure error={loaded.error} onRetry={reload} />}
        {loaded.state === 'loaded' &&
          loaded.value.items.map((channel) => <Channel key={channel.name} channel={channel} />)}
      </section>
      <section aria-labelledby="providers-title">
        <h2 id="providers-title">{t('overview.accounts')}</h2>
        <ProvidersTable />
      </section>
    </>
  );
}

function Channel({ channel }: { channel: ChannelList['items'][number] }): JSX.Element {
  const { name, isDefault, providers, message } = channel;
  return (
    <article class="card">
      <h3>
        {name} {isDefault && name !== 'default' && <span class="quiet">{t('configuration.default')}</span>}
      </h3>
      <p>{t('send.via', { providers: providers.join(' → ') })}</p>
      {message === null ? (
        <p class="quiet">{t('configuration.anyText')}</p>
      ) : (
        <details>
          <summary>{t('configuration.schema')}</summary>
          <pre tabIndex={0}>{JSON.stringify(message, null, 2)}</pre>
        </details>
      )}
    </article>
  );
}

function ProvidersTable(): JSX.Element {
  const quota = latest.value?.quota;
  if (quota === undefined) return <Loading />;
  return (
    <div class="table-box">
      <table class="stacked">
        <thead>
          <tr>
            <th scope="col">{t('configuration.account')}</th>
            <th scope="col" class="number">
              {t('configuration.price')}
            </th>
            <th scope="col">{t('configuration.quotas')}</th>
          </tr>
        </thead>
        <tbody>
          {quota.providers.map(({ account, priceMicros, quotas }, index) => (
            <tr key={`${account} ${index}`}>
              <td data-label={t('configuration.account')}>{account}</td>
              <td data-label={t('configuration.price')} class="number">
                {priceMicros === 0 ? t('price.free') : money(priceMicros, quota.currency)}
              </td>
              <td data-label={t('configuration.quotas')}>
                {quotas
                  ?.map(({ name, limit }) => `${textOfCode('policy', name) ?? name}: ${limit ?? '–'}`)
                  .join(', ') || t('quota.unlimited')}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
