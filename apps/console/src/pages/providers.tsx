import type { JSX } from 'preact';
import type { ProviderSwitch } from '#contracts';
import { api } from '../api/client.js';
import { textOfCode, t } from '../i18n/i18n.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { Time } from '../ui/time.js';
import { useAdminChange } from '../ui/use-admin-change.js';
import { useLoaded } from '../ui/use-loaded.js';

const STATES = ['enabled', 'drained', 'disabled'] as const;

/** Which provider accounts may be used. Only for admins. */
export function ProvidersPage(): JSX.Element {
  const { loaded, reload, replace } = useLoaded(() => api.providerSwitches(), '');
  const { start, error, dialog } = useAdminChange();
  if (loaded.state === 'loading') return <Loading />;
  if (loaded.state === 'failed') return <Failure error={loaded.error} onRetry={reload} />;
  const { items } = loaded.value;
  if (items.length === 0) return <Empty icon="providers" title={t('providers.none')} />;

  const switchTo = (key: string, state: ProviderSwitch['state']): void =>
    start({
      name: key,
      ...(state === 'disabled' && {
        question: {
          title: t('providers.disableTitle'),
          text: t('providers.disableText', { key }),
          confirm: t('providers.disable'),
        },
      }),
      apply: async (currentPassword) => {
        const changed = await api.switchProvider({ key, state, ...(currentPassword && { currentPassword }) });
        replace((list) => ({ items: list.items.map((item) => (item.key === key ? changed : item)) }));
      },
    });

  return (
    <>
      <p class="quiet">{t('providers.text')}</p>
      {error !== undefined && <Failure error={error} />}
      <div class="table-box">
        <table class="stacked">
          <thead>
            <tr>
              <th scope="col">{t('providers.key')}</th>
              <th scope="col">{t('providers.state')}</th>
              <th scope="col">{t('providers.changed')}</th>
            </tr>
          </thead>
          <tbody>
            {items.map(({ key, state, changedAt }) => (
              <tr key={key}>
                <td data-label={t('providers.key')}>{key}</td>
                <td data-label={t('providers.state')}>
                  <select
                    aria-label={t('providers.stateOf', { key })}
                    value={state}
                    onChange={(event) => {
                      const wanted = STATES.find((one) => one === event.currentTarget.value);
                      // Shows the state in force until the change has taken place.
                      event.currentTarget.value = state;
                      if (wanted !== undefined && wanted !== state) switchTo(key, wanted);
                    }}
                  >
                    {STATES.map((one) => (
                      <option key={one} value={one}>
                        {textOfCode('switch', one) ?? one}
                      </option>
                    ))}
                  </select>
                </td>
                <td data-label={t('providers.changed')}>
                  <Time at={changedAt} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {dialog}
    </>
  );
}
